//! Rung 5: no proxy of the environment catches requests that are meant for this machine.

use std::net::IpAddr;
use std::time::Duration;

use super::{About, Check, Pending, Step, is_loopback_host};
use crate::case::Case;
use crate::probe::dial::open;
use crate::probe::http::{Answer, exchange};
use crate::report::{Fix, Verdict};
use crate::request::Environment;
use crate::target::{Scheme, Target};

/// See the module.
pub(crate) struct Proxy;

/// Limit: one request through the proxy.
const LIMIT: Duration = Duration::from_millis(1200);

impl Check for Proxy {
    fn about(&self) -> About {
        About {
            id: "proxy",
            title: "proxy variables of the environment",
            proves: "programs that obey HTTP_PROXY and NO_PROXY reach the address as well",
            rung: 5,
            budget: Duration::from_millis(2500),
            verdicts: &["proxy.auth", "proxy.hijack", "proxy.no_proxy_incomplete"],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        if case.facts.connected.is_none() || case.facts.answer().is_none() {
            return Some("no HTTP answer to compare with".to_owned());
        }
        (!is_loopback_host(case.host())).then(|| "the address is not on this machine".to_owned())
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(look(case))
    }
}

async fn look(case: &Case) -> Step {
    let scheme = case.address().and_then(|target| target.scheme);
    let secure = scheme.is_some_and(Scheme::is_tls);
    let environment = &case.environment;
    let own = if secure { "https_proxy" } else { "http_proxy" };
    let found = environment.variable(own).or_else(|| environment.variable("all_proxy"));
    let Some((variable, proxy)) = found else {
        return Step::pass("no proxy variable is set");
    };
    let host = case.host();
    let shown = format!("{variable}={}", without_credentials(proxy));
    if let Some((name, list)) = environment.variable("no_proxy")
        && covers(list, host)
    {
        return Step::pass(format!("{name} leaves {host} out")).seen([shown]);
    }
    let Some(port) = case.facts.port else {
        return Step::cannot_tell("there is no port");
    };
    match through(proxy, host, port, secure).await {
        Through::Works(status) => Step::warn(format!(
            "requests to {host} go through the proxy of {variable}, which passes them on \
             (HTTP {status})"
        ))
        .seen([shown]),
        Through::Fails(id, why) => Step::name(caught(id, &why, &shown, environment, host)),
        Through::Unknown(why) => Step::warn(why).seen([shown]),
    }
}

fn caught(
    id: &'static str,
    why: &str,
    shown: &str,
    environment: &Environment,
    host: &str,
) -> Verdict {
    let list = environment.variable("no_proxy");
    let id = if id == "proxy.hijack" && list.is_some() { "proxy.no_proxy_incomplete" } else { id };
    let sentence = format!(
        "the server works, but programs that obey the proxy variables do not reach {host}: {why}"
    );
    let verdict = Verdict::certain(id, sentence).because(shown.to_owned());
    let verdict = match list {
        Some((name, list)) => verdict.because(format!("{name}={list} does not cover {host}")),
        None => verdict.because("NO_PROXY is not set"),
    };
    verdict.fix(Fix::run(
        "keep this machine's own addresses away from the proxy",
        "export NO_PROXY=localhost,127.0.0.1,::1 no_proxy=localhost,127.0.0.1,::1",
    ))
}

fn without_credentials(proxy: &str) -> String {
    match proxy.split_once("://") {
        Some((scheme, rest)) => {
            format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host))
        }
        None => proxy.rsplit_once('@').map_or(proxy, |(_, host)| host).to_owned(),
    }
}

/// Whether a `NO_PROXY` list leaves `host` out: names, domain endings, addresses, networks, `*`.
pub(super) fn covers(list: &str, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let address = host.parse::<IpAddr>().ok();
    list.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.to_ascii_lowercase();
        let plain = entry.trim_start_matches('[').replace(']', "");
        if plain == "*" || plain == host || plain.trim_start_matches("*.") == host {
            return true;
        }
        if let (Some(IpAddr::V4(address)), Some((network, bits))) = (address, plain.split_once('/'))
            && let (Ok(network), Ok(bits @ 0..=32)) =
                (network.parse::<std::net::Ipv4Addr>(), bits.parse::<u32>())
        {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            return address.to_bits() & mask == network.to_bits() & mask;
        }
        let ending = plain.trim_start_matches('*').trim_start_matches('.').to_owned();
        address.is_none() && !ending.is_empty() && host.ends_with(&format!(".{ending}"))
    })
}

/// What happened on the way through the proxy.
enum Through {
    Works(u16),
    Fails(&'static str, String),
    Unknown(String),
}

async fn through(proxy: &str, host: &str, port: u16, secure: bool) -> Through {
    let plain = without_credentials(proxy);
    let socks = plain.starts_with("socks");
    let place = plain.split_once("://").map_or(plain.as_str(), |(_, rest)| rest);
    let Ok(target) = Target::parse(&format!("tcp://{place}")) else {
        return Through::Fails("proxy.hijack", format!("`{plain}` is no address of a proxy"));
    };
    let default = if socks { 1080 } else { 80 };
    let proxy_port = target.port.as_deref().map_or(Some(default), |text| text.parse().ok());
    let Some(proxy_port) = proxy_port else {
        return Through::Fails("proxy.hijack", format!("`{plain}` has no valid port"));
    };
    let lookup = tokio::net::lookup_host((target.host.as_str(), proxy_port));
    let found = tokio::time::timeout(LIMIT, lookup).await;
    let Some(address) = found.ok().and_then(Result::ok).and_then(|mut all| all.next()) else {
        return Through::Fails(
            "proxy.hijack",
            format!("the proxy's name `{}` is unknown", target.host),
        );
    };
    let (dial, stream) = open(address, LIMIT).await;
    let Some(mut stream) = stream else {
        return Through::Fails(
            "proxy.hijack",
            format!("the proxy {plain} is down ({})", dial.dialed.word()),
        );
    };
    if socks {
        return Through::Unknown(format!("requests to {host} go through the SOCKS proxy {plain}"));
    }
    let place =
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let question = if secure {
        format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n")
    } else {
        format!("GET http://{place}/ HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n")
    };
    let reply = exchange(&mut stream, question.as_bytes(), LIMIT).await;
    match Answer::read(&reply, "/").map(|answer| answer.status) {
        Some(407) => Through::Fails(
            "proxy.auth",
            format!("the proxy {plain} asks for credentials (HTTP 407)"),
        ),
        Some(status @ (403 | 500..=599)) => {
            Through::Fails("proxy.hijack", format!("the proxy {plain} answers HTTP {status}"))
        }
        Some(status) => Through::Works(status),
        None => Through::Fails("proxy.hijack", format!("the proxy {plain} gives no answer")),
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn no_proxy_lists_are_read_as_clients_read_them() {
        let cases = [
            ("localhost", "localhost", true),
            ("LOCALHOST", "localhost", true),
            ("a.b, localhost ,c", "localhost", true),
            ("*", "127.0.0.1", true),
            ("localhost", "127.0.0.1", false),
            ("127.0.0.0/8", "127.0.0.1", true),
            ("10.0.0.0/8", "127.0.0.1", false),
            ("0.0.0.0/0", "127.0.0.1", true),
            ("[::1]", "::1", true),
            (".example.com", "a.example.com", true),
            ("example.com", "badexample.com", false),
            ("", "localhost", false),
        ];
        for (list, host, expected) in cases {
            assert_eq!(covers(list, host), expected, "{list:?} {host}");
        }
    }
}
