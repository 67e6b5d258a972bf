//! Rung 4: the certificate names the host, holds today, and is signed by someone trusted here.

use std::net::IpAddr;
use std::time::Duration;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use super::{About, Check, Pending, Step};
use crate::case::Case;
use crate::probe::http::End;
use crate::probe::tls::Secured;
use crate::probe::trust::{Shown, Trusted};
use crate::report::{Fix, Verdict};

/// See the module.
pub(crate) struct Tls;

/// A certificate that ends sooner deserves a remark.
const SOON: i64 = 14 * 24 * 3600;

impl Check for Tls {
    fn about(&self) -> About {
        About {
            id: "tls",
            title: "TLS version and certificate",
            proves: "clients of this machine accept the server's certificate for this host",
            rung: 4,
            budget: Duration::from_millis(500),
            verdicts: &[
                "tls.bad_certificate",
                "tls.client_cert",
                "tls.expired",
                "tls.ip_not_in_cert",
                "tls.no_san",
                "tls.not_yet_valid",
                "tls.self_signed",
                "tls.unknown_ca",
                "tls.wrong_host",
            ],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        let secured = case.facts.spoken.as_ref().and_then(|spoken| spoken.tls.as_ref());
        secured.is_none().then(|| "no TLS".to_owned())
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(async move { look(case) })
    }
}

fn look(case: &Case) -> Step {
    let Some(spoken) = &case.facts.spoken else { return Step::cannot_tell("no answer") };
    let Some(secured) = &spoken.tls else { return Step::cannot_tell("no TLS") };
    // The refusal of a TLS 1.3 server comes after the handshake, in the place of an answer.
    let refused = spoken.answer.is_none() && !matches!(spoken.end, End::Silent);
    if secured.wanted_client && refused {
        return Step::name(client_certificate());
    }
    let Some(shown) = &secured.shown else {
        return Step::cannot_tell("the server showed no certificate");
    };
    judge(shown, secured, case.host(), case.facts.port.unwrap_or_default())
}

/// The verdict for a server that lets in known clients only.
pub(super) fn client_certificate() -> Verdict {
    Verdict::likely("tls.client_cert", "the server wants a certificate of the client (mutual TLS)")
        .because("it asked for one in the handshake and hung up without it")
        .fix(Fix::say(
            "give the client its certificate and key (curl: --cert client.pem --key client.key)",
        ))
}

fn judge(shown: &Shown, secured: &Secured, host: &str, port: u16) -> Step {
    let Some(der) = shown.chain.first() else {
        return Step::cannot_tell("the server showed no certificate");
    };
    let Ok((_, own)) = x509_parser::parse_x509_certificate(der) else {
        let sentence = format!("the certificate of {host}:{port} cannot be read");
        let fix = renew(host, "make a new one");
        return Step::name(Verdict::certain("tls.bad_certificate", sentence).fix(fix));
    };
    let names = names(&own);
    let seen = describe(&own, &names, secured, shown);
    match fault(&own, &names, shown, host, port) {
        Some(verdict) => Step::name(verdict.because_all(seen)),
        None => {
            let left = own.validity().not_after.timestamp() - shown.now;
            let until = date(own.validity().not_after.timestamp());
            let summary = format!("{}, trusted, for {host}, until {until}", secured.version);
            let step = if left < SOON {
                Step::warn(format!("{summary}: it ends in {} days", left / 86_400))
            } else {
                Step::pass(summary)
            };
            step.seen(seen)
        }
    }
}

/// The names a certificate is for.
#[derive(Debug, Default)]
struct Names {
    hosts: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl Names {
    fn list(&self) -> Vec<String> {
        self.hosts.iter().cloned().chain(self.addresses.iter().map(IpAddr::to_string)).collect()
    }

    fn cover(&self, host: &str) -> bool {
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        self.hosts.iter().any(|name| match name.strip_prefix("*.") {
            Some(parent) => {
                host.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent))
            }
            None => name.eq_ignore_ascii_case(host),
        })
    }
}

fn names(own: &X509Certificate<'_>) -> Names {
    let mut names = Names::default();
    let Ok(Some(extension)) = own.subject_alternative_name() else { return names };
    for name in &extension.value.general_names {
        match name {
            GeneralName::DNSName(host) => names.hosts.push((*host).to_owned()),
            GeneralName::IPAddress(bytes) => {
                let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
                names.addresses.extend(address.ok());
            }
            _ => {}
        }
    }
    names
}

fn describe(
    own: &X509Certificate<'_>,
    names: &Names,
    secured: &Secured,
    shown: &Shown,
) -> Vec<String> {
    let list = names.list();
    let list = if list.is_empty() { "no name".to_owned() } else { list.join(", ") };
    let (from, until) = (own.validity().not_before, own.validity().not_after);
    let mut seen = vec![
        format!("{}; the certificate `{}` is for {list}", secured.version, own.subject()),
        format!("valid from {} to {}", date(from.timestamp()), date(until.timestamp())),
        format!("signed by `{}`", own.issuer()),
    ];
    if shown.roots == 0 {
        seen.push("this machine has no list of trusted certificates at all".to_owned());
    }
    seen
}

fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| seconds.to_string(), |moment| moment.to_string())
}

fn fault(
    own: &X509Certificate<'_>,
    names: &Names,
    shown: &Shown,
    host: &str,
    port: u16,
) -> Option<Verdict> {
    let place = format!("{host}:{port}");
    let (from, until) = (own.validity().not_before, own.validity().not_after);
    let today = date(shown.now);
    if until.timestamp() < shown.now {
        let sentence = format!("the certificate of {place} expired on {}", date(until.timestamp()));
        return Some(
            Verdict::certain("tls.expired", sentence)
                .because(format!("this machine's clock says {today}"))
                .fix(renew(host, "make a new one and restart the server")),
        );
    }
    if from.timestamp() > shown.now {
        let sentence =
            format!("the certificate of {place} is valid only from {}", date(from.timestamp()));
        return Some(
            Verdict::certain("tls.not_yet_valid", sentence)
                .because(format!("this machine's clock says {today}"))
                .fix(Fix::run("see whether this machine's clock is behind", "timedatectl"))
                .fix(renew(host, "if it is right, make a new certificate")),
        );
    }
    name_fault(own, names, host, &place).or_else(|| issuer_fault(own, shown, host, &place))
}

fn name_fault(
    own: &X509Certificate<'_>,
    names: &Names,
    host: &str,
    place: &str,
) -> Option<Verdict> {
    if names.cover(host) {
        return None;
    }
    let (hosts, list) = (&names.hosts, names.list());
    if list.is_empty() {
        let sentence = format!(
            "the certificate of {place} has no subjectAltName, and clients do not read the common \
             name `{}` since 2017",
            own.subject()
        );
        return Some(
            Verdict::certain("tls.no_san", sentence)
                .fix(renew(host, "make one with subject alternative names")),
        );
    }
    if host.parse::<IpAddr>().is_ok() && hosts.iter().any(|name| name == "localhost") {
        let sentence = format!("the certificate of {place} is for {}, not {host}", list.join(", "));
        return Some(
            Verdict::certain("tls.ip_not_in_cert", sentence)
                .fix(Fix::say(format!("use https://{}", place.replacen(host, "localhost", 1))))
                .fix(renew(host, "or make a certificate that has the address")),
        );
    }
    let sentence = format!("the certificate of {place} is for {}, not for {host}", list.join(", "));
    Some(
        Verdict::certain("tls.wrong_host", sentence)
            .fix(renew(host, "make one that names it, and restart the server")),
    )
}

fn issuer_fault(
    own: &X509Certificate<'_>,
    shown: &Shown,
    host: &str,
    place: &str,
) -> Option<Verdict> {
    match &shown.trusted {
        Trusted::Yes => None,
        Trusted::UnknownIssuer if own.subject() == own.issuer() => {
            let sentence =
                format!("the certificate of {place} is self-signed, and nobody here trusts it");
            let fix = "trust it: give its PEM file to the client, or to the doctor with --ca \
                       (SSL_CERT_FILE, NODE_EXTRA_CA_CERTS, REQUESTS_CA_BUNDLE)";
            Some(
                Verdict::certain("tls.self_signed", sentence)
                    .fix(Fix::run(fix, "export SSL_CERT_FILE=/path/to/certificate.pem"))
                    .fix(renew(host, "or make one that this machine trusts")),
            )
        }
        Trusted::UnknownIssuer => {
            let issuer = own.issuer().to_string();
            let sentence =
                format!("the certificate of {place} is signed by `{issuer}`, unknown here");
            Some(
                Verdict::certain("tls.unknown_ca", sentence)
                    .because(format!("{} certificates came with it", shown.chain.len()))
                    .fix(Fix::run(
                        "trust that issuer in the client, or see the doctor's --ca",
                        "export SSL_CERT_FILE=/path/to/root.pem",
                    ))
                    .fix(Fix::say("if the issuer is public, let the server send the whole chain")),
            )
        }
        Trusted::No(reason) => {
            let sentence = format!("clients refuse the certificate of {place}");
            Some(
                Verdict::certain("tls.bad_certificate", sentence)
                    .because(format!("the reason: {reason}"))
                    .fix(renew(host, "make a new one")),
            )
        }
    }
}

fn renew(host: &str, text: &str) -> Fix {
    let mut wanted = vec![host];
    for more in ["localhost", "127.0.0.1", "::1"] {
        if super::is_loopback_host(host) && more != host {
            wanted.push(more);
        }
    }
    Fix::run(text, format!("mkcert {}", wanted.join(" ")))
}
