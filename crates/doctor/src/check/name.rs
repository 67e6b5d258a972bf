//! Rung 1: the host name has addresses, and `localhost` has the right ones.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::time::Instant;

use super::{About, Check, Pending, Step, no_address};
use crate::case::{Case, Learned, Names};
use crate::report::{Fix, Verdict, milliseconds};

/// See the module.
pub(crate) struct Name;

/// Limit: a lookup that takes longer deserves a remark.
const SLOW: Duration = Duration::from_millis(500);

impl Check for Name {
    fn about(&self) -> About {
        About {
            id: "name",
            title: "name resolution",
            proves: "the host name resolves, and `localhost` only to this machine",
            rung: 1,
            budget: Duration::from_secs(3),
            verdicts: &[
                "name.localhost_missing",
                "name.localhost_wrong",
                "name.nsswitch",
                "name.no_answer",
                "name.unknown",
            ],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        no_address(case)
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(look(case))
    }
}

async fn look(case: &Case) -> Step {
    let host = case.host();
    if let Ok(address) = host.parse::<IpAddr>() {
        let names = names(vec![address], Duration::ZERO);
        return Step::pass(format!("{address} is an address")).learned(Learned::Names(names));
    }
    let started = Instant::now();
    let limit = Duration::from_millis(2500);
    let lookup = tokio::time::timeout(limit, tokio::net::lookup_host((host, 0))).await;
    let elapsed = started.elapsed();
    let files = Files::read();
    let mut addresses: Vec<IpAddr> = Vec::new();
    match lookup {
        Err(_elapsed) => {
            let sentence =
                format!("the name `{host}` could not be looked up: no name server answers");
            let fix = Fix::say("use an IP address, or check the network and its name servers");
            return Step::name(Verdict::likely("name.no_answer", sentence).fix(fix));
        }
        Ok(Err(error)) => return Step::name(unresolved(host, &error.to_string(), &files)),
        Ok(Ok(found)) => {
            for address in found.map(|place| place.ip()) {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
    }
    if let Some(verdict) = misled(host, &addresses, &files) {
        return Step::name(verdict);
    }
    resolved(host, names(addresses, elapsed), &files)
}

fn names(addresses: Vec<IpAddr>, elapsed: Duration) -> Names {
    let is_local = !addresses.is_empty() && addresses.iter().all(|address| is_local(*address));
    Names { addresses, is_local, elapsed }
}

/// Whether an address belongs to this machine: a socket can be bound to it.
fn is_local(address: IpAddr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || UdpSocket::bind(SocketAddr::new(address, 0)).is_ok()
}

fn resolved(host: &str, names: Names, files: &Files) -> Step {
    let list: Vec<String> = names.addresses.iter().map(IpAddr::to_string).collect();
    let milliseconds = milliseconds(names.elapsed);
    let summary = format!("{host} is {} (in this order, {milliseconds} ms)", list.join(", "));
    let evidence = match files.entries(host).as_slice() {
        [] => vec![format!("the hosts file has no entry for {host}")],
        lines => {
            lines.iter().map(|(line, text)| format!("hosts file line {line}: {text}")).collect()
        }
    };
    let slow = names.elapsed > SLOW;
    let step = if slow { Step::warn(format!("{summary}: slow")) } else { Step::pass(summary) };
    step.seen(evidence).learned(Learned::Names(names))
}

/// The files that decide over names on Unix; empty where they do not exist.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) hosts: String,
    pub(super) nsswitch: String,
}

impl Files {
    fn read() -> Self {
        let hosts =
            if cfg!(windows) { r"C:\Windows\System32\drivers\etc\hosts" } else { "/etc/hosts" };
        let text = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self { hosts: text(hosts), nsswitch: text("/etc/nsswitch.conf") }
    }

    /// The lines of the hosts file that name `host`, with their numbers from 1.
    pub(super) fn entries(&self, host: &str) -> Vec<(usize, String)> {
        self.lines()
            .filter(|(_, line)| line.split_whitespace().skip(1).any(|name| same(name, host)))
            .map(|(number, line)| (number, line.trim().to_owned()))
            .collect()
    }

    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
        lines.enumerate().map(|(at, line)| (at + 1, line))
    }

    /// A loopback line whose name is one letter away from `localhost`.
    fn slip(&self) -> Option<(usize, String)> {
        self.lines().find_map(|(number, line)| {
            let mut words = line.split_whitespace();
            words.next()?.parse::<IpAddr>().ok().filter(IpAddr::is_loopback)?;
            let name = words.find(|name| one_letter_away(name, "localhost"))?;
            Some((number, name.to_owned()))
        })
    }

    /// The hosts line of nsswitch.conf, when it leaves the hosts file out.
    fn ignores_hosts(&self) -> Option<&str> {
        let line = self.nsswitch.lines().map(str::trim).find(|line| line.starts_with("hosts:"))?;
        (!line.split_whitespace().any(|word| word == "files")).then_some(line)
    }
}

fn same(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
}

fn one_letter_away(name: &str, wanted: &str) -> bool {
    if name == wanted || name.len().abs_diff(wanted.len()) > 1 {
        return false;
    }
    let front = name.bytes().zip(wanted.bytes()).take_while(|(a, b)| a == b).count();
    let back = name.bytes().rev().zip(wanted.bytes().rev()).take_while(|(a, b)| a == b).count();
    front + back + 1 >= name.len().max(wanted.len())
}

/// The verdict for a name without any address.
pub(super) fn unresolved(host: &str, error: &str, files: &Files) -> Verdict {
    let said = format!("the system says: {error}");
    if !same(host, "localhost") {
        if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            let sentence = format!("`{host}` is neither an IPv4 address nor a name that resolves");
            return Verdict::certain("name.unknown", sentence).because(said).fix(Fix::say(
                "write an IPv4 address as four numbers from 0 to 255: 127.0.0.1 is this machine",
            ));
        }
        let sentence = format!("the name `{host}` does not resolve");
        let docker = same(host, "host.docker.internal");
        let fix = if docker {
            Fix::say("this name exists only inside Docker containers: here use localhost")
        } else {
            Fix::run_as_root(
                "use localhost or an IP address, or give the name to this machine",
                format!("echo '127.0.0.1 {host}' | sudo tee -a /etc/hosts"),
            )
        };
        return Verdict::certain("name.unknown", sentence).because(said).fix(fix);
    }
    if let Some(line) = files.ignores_hosts().filter(|_| !files.entries(host).is_empty()) {
        let sentence = "localhost does not resolve, because the system ignores the hosts file";
        return Verdict::certain("name.nsswitch", sentence)
            .because(format!("/etc/nsswitch.conf says `{line}`"))
            .fix(Fix::say("change that line to `hosts: files dns`"));
    }
    let verdict = Verdict::certain(
        "name.localhost_missing",
        "localhost does not resolve, so programs cannot find this machine by that name",
    )
    .because(said);
    match files.slip() {
        Some((line, name)) => verdict
            .because(format!("hosts file line {line} says `{name}`"))
            .fix(Fix::say(format!("correct `{name}` to `localhost` in line {line} of /etc/hosts"))),
        None => verdict.fix(Fix::run_as_root(
            "add the entry, and use 127.0.0.1 until then",
            "echo '127.0.0.1 localhost' | sudo tee -a /etc/hosts",
        )),
    }
}

/// The verdict for a `localhost` that is somewhere else.
pub(super) fn misled(host: &str, addresses: &[IpAddr], files: &Files) -> Option<Verdict> {
    let foreign = addresses.iter().find(|address| !address.is_loopback())?;
    if !same(host, "localhost") {
        return None;
    }
    let sentence = format!("localhost resolves to {foreign}, which is not this machine's loopback");
    let verdict = Verdict::certain("name.localhost_wrong", sentence);
    let lines = files.entries(host);
    let wrong = lines.iter().find(|(_, text)| text.starts_with(&foreign.to_string()));
    Some(match wrong {
        Some((line, text)) => verdict
            .because(format!("hosts file line {line}: {text}"))
            .fix(Fix::say(format!("change line {line} to `{} localhost`", Ipv4Addr::LOCALHOST))),
        None => verdict.fix(Fix::run_as_root(
            "give localhost its address in the hosts file",
            "echo '127.0.0.1 localhost' | sudo tee -a /etc/hosts",
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::{Files, misled, unresolved};

    fn files(hosts: &str, nsswitch: &str) -> Files {
        Files { hosts: hosts.to_owned(), nsswitch: nsswitch.to_owned() }
    }

    #[test]
    fn a_localhost_without_address_is_traced_to_its_file() {
        let cases = [
            (files("", ""), "name.localhost_missing", "add the entry"),
            (files("# x\n127.0.0.1 locahost\n", ""), "name.localhost_missing", "line 2"),
            (files("127.0.0.1 localhost", "hosts: dns\n"), "name.nsswitch", "files dns"),
        ];
        for (files, id, fix) in cases {
            let verdict = unresolved("localhost", "no such name", &files);
            assert_eq!(verdict.id, id);
            assert!(verdict.fix[0].text.contains(fix), "{verdict:?}");
        }
        let verdict = unresolved("host.docker.internal", "x", &files("", ""));
        assert!(verdict.fix[0].text.contains("Docker"), "{verdict:?}");
        let verdict = unresolved("256.1.1.1", "x", &files("", ""));
        assert!(verdict.sentence.contains("neither an IPv4 address"), "{verdict:?}");
    }

    #[test]
    fn a_localhost_that_is_elsewhere_is_traced_to_its_line() {
        let files = files("10.66.66.66 localhost # old\n", "");
        let verdict = misled("localhost", &["10.66.66.66".parse().unwrap()], &files).unwrap();
        assert_eq!(verdict.id, "name.localhost_wrong");
        assert!(verdict.evidence[0].contains("line 1"), "{verdict:?}");
        let loopback = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        assert_eq!(misled("localhost", &loopback, &files), None);
        assert_eq!(misled("box", &["10.66.66.66".parse().unwrap()], &files), None);
    }
}
