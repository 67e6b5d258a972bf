//! Follows redirects as a client would, as far as they stay on this server, to their end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::Seen;
use crate::check::is_loopback_host;
use crate::probe::dial::{Dialed, dial};
use crate::probe::talk::{Line, Question};
use crate::report::{Fix, Verdict};
use crate::target::Target;

/// Limit: redirects that are followed; clients give up after 10 to 50.
const STEPS_MAX: usize = 10;

/// Limit: one step.
const TRY: Duration = Duration::from_millis(500);

/// Where a redirect leads.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// A path of the same server.
    Here(String),
    /// Another address.
    Elsewhere(String),
}

/// What is wrong with the chain that begins with the answer that was seen.
pub(super) async fn fault(line: &Line, seen: &Seen<'_>) -> Option<Verdict> {
    let mut path = seen.answer.path.clone();
    let mut to = seen.answer.header("location")?.trim().to_owned();
    let mut chain = vec![path.clone()];
    for _step in 0..STEPS_MAX {
        path = match place(&seen.base, &path, &to) {
            Place::Elsewhere(address) => return dead_end(&address, &chain).await,
            Place::Here(path) => path,
        };
        let again = chain.contains(&path);
        chain.push(path.clone());
        if again {
            return Some(loops(&chain));
        }
        let headers = [("Accept", "*/*")];
        let question =
            Question { method: "GET", path: &path, headers: &headers, body: "", limit: TRY };
        let answer = line.ask(&question).await.1?;
        if !(300..400).contains(&answer.status) {
            return None;
        }
        to = answer.header("location")?.trim().to_owned();
    }
    Some(loops(&chain))
}

/// Where `to` leads from `path` of the server `base`.
fn place(base: &str, path: &str, to: &str) -> Place {
    if let Some(rest) = to.strip_prefix(base)
        && (rest.is_empty() || rest.starts_with(['/', '?']))
    {
        return Place::Here(if rest.starts_with('/') {
            rest.to_owned()
        } else {
            format!("/{rest}")
        });
    }
    if to.contains("://") || to.starts_with("//") {
        return Place::Elsewhere(to.to_owned());
    }
    if to.starts_with('/') {
        return Place::Here(to.to_owned());
    }
    let folder = path.rfind('/').and_then(|at| path.get(..=at)).unwrap_or("/");
    Place::Here(format!("{folder}{to}"))
}

fn loops(chain: &[String]) -> Verdict {
    let shown: Vec<&str> = chain.iter().take(6).map(String::as_str).collect();
    let first = chain.first().map_or("/", String::as_str);
    Verdict::certain("http.redirect_loop", format!("the server redirects {first} without end"))
        .because(format!("it goes {}", shown.join(" → ")))
        .fix(Fix::say(
            "check its base path, its rule for the slash at the end, and whether a proxy and the \
             server correct each other",
        ))
}

/// A redirect to an address of this machine at which nothing listens.
async fn dead_end(to: &str, chain: &[String]) -> Option<Verdict> {
    let target = Target::parse(to).ok()?;
    if !is_loopback_host(&target.host) {
        return None;
    }
    let written = target.port.as_deref().and_then(|port| port.parse::<u16>().ok());
    let port = written.or_else(|| target.scheme.and_then(crate::target::Scheme::default_port))?;
    let host = target.host.parse::<IpAddr>().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    if dial(SocketAddr::new(host, port), TRY).await.dialed != Dialed::Refused {
        return None;
    }
    let first = chain.first().map_or("/", String::as_str);
    let place = format!("{}:{port}", target.bracketed_host());
    let sentence = format!("the server redirects {first} to {place}, where nothing listens");
    Some(Verdict::certain("http.redirect_broken", sentence).because(format!("to {target}")).fix(
        Fix::say(
            "correct the public address in its settings (or X-Forwarded-Host and -Port in the \
             proxy), or start what belongs there",
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::{Place, place};

    #[test]
    fn redirects_are_joined_to_where_they_stand() {
        let base = "http://localhost:1";
        let here = |path: &str| Place::Here(path.to_owned());
        assert_eq!(place(base, "/a/b", "c"), here("/a/c"));
        assert_eq!(place(base, "/a", "/b?x=1"), here("/b?x=1"));
        assert_eq!(place(base, "/a", "http://localhost:1/b"), here("/b"));
        assert_eq!(place(base, "/a", "http://localhost:1"), here("/"));
        let other = "http://localhost:12/b";
        assert_eq!(place(base, "/a", other), Place::Elsewhere(other.to_owned()));
    }
}
