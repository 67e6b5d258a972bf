//! Rung 5: no proxy of the environment catches requests that are meant for this machine.

use std::net::IpAddr;
use std::time::Duration;

use super::{About, Check, Pending, Step, is_loopback_host};
use crate::case::Case;
use crate::probe::dial::open;
use crate::probe::http::{Answer, exchange};
use crate::proxies::{Client, desktop, direct_clients, proxied_clients};
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
    let (host, Some(port)) = (case.host(), case.facts.port) else {
        return Step::cannot_tell("there is no port");
    };
    let own = if secure { "https_proxy" } else { "http_proxy" };
    let found = environment.variable(own).or_else(|| environment.variable("all_proxy"));
    let Some((variable, proxy)) = found else {
        return of_desktops(host, port).await;
    };
    let shown = format!("{variable}={}", without_credentials(proxy));
    let proxied = proxied_clients(environment, (host, port), secure);
    let ways = ways(&proxied);
    if let Some((name, list)) = environment.variable("no_proxy")
        && covers(list, host)
    {
        if proxied.is_empty() {
            return Step::pass(format!("{name} leaves {host} out")).seen([shown]);
        }
        let list: Vec<&str> = proxied.iter().map(|(client, _)| client.name()).collect();
        let text = format!("{name} leaves {host} out, but not as {} read it", list.join(", "));
        return Step::warn(text).seen([shown]).seen(ways);
    }
    match through(proxy, case, port, secure).await {
        Through::Works(status) => Step::warn(format!(
            "requests to {host} go through the proxy of {variable}, which passes them on \
             (HTTP {status})"
        ))
        .seen([shown])
        .seen(ways),
        Through::Fails(id, why) => {
            let verdict = caught(id, &why, &shown, environment, host);
            Step::name(verdict.because_all(ways))
        }
        Through::Unknown(why) => Step::warn(why).seen([shown]).seen(ways),
    }
}

/// Who goes through the proxy and who does not: clients read the variables each in its own way.
fn ways(proxied: &[(Client, String)]) -> Vec<String> {
    let direct = direct_clients(proxied);
    let through: Vec<&str> = proxied.iter().map(|(client, _)| client.name()).collect();
    let line = |what: &str, list: Vec<&str>| {
        (!list.is_empty()).then(|| format!("{what}: {}", list.join(", ")))
    };
    [line("through the proxy", through), line("directly", direct)].into_iter().flatten().collect()
}

/// Without variables, desktops may still send their programs through a proxy.
async fn of_desktops(host: &str, port: u16) -> Step {
    let settings = tokio::task::spawn_blocking(|| desktop(std::path::Path::new("/"), own_uid()));
    let settings = settings.await.unwrap_or_default();
    let catching = settings.iter().filter(|one| !covers(&one.except.replace(';', ","), host));
    let lines: Vec<String> = catching
        .map(|one| {
            let proxy = without_credentials(&one.proxy);
            format!("{} sends {host}:{port} through {proxy} (all but: {})", one.place, one.except)
        })
        .collect();
    match lines.first() {
        Some(first) => Step::warn(first.clone()).seen(lines),
        None => Step::pass("no proxy variable is set"),
    }
}

#[cfg(unix)]
fn own_uid() -> u32 {
    rustix::process::getuid().as_raw()
}

#[cfg(not(unix))]
fn own_uid() -> u32 {
    0
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

async fn through(proxy: &str, case: &Case, port: u16, secure: bool) -> Through {
    let host = case.host();
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
        let path = case.facts.answer().map_or("/", |answer| answer.path.as_str());
        format!("GET http://{place}{path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n")
    };
    let reply = exchange(&mut stream, question.as_bytes(), LIMIT).await;
    let own = case.facts.answer().map(|answer| answer.status);
    match Answer::read(&reply, "/").map(|answer| answer.status) {
        Some(407) => Through::Fails(
            "proxy.auth",
            format!("the proxy {plain} asks for credentials (HTTP 407)"),
        ),
        Some(status @ (403 | 500..=599)) if own != Some(status) || secure => {
            Through::Fails("proxy.hijack", format!("the proxy {plain} answers HTTP {status}"))
        }
        Some(status) if !secure && own.is_some_and(|own| own != status) => {
            let own = own.unwrap_or_default();
            let why = format!(
                "the proxy {plain} answers by itself (HTTP {status}, and the server says {own})"
            );
            Through::Fails("proxy.hijack", why)
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
