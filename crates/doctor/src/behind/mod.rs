//! Whom a reverse proxy passes requests on to, by the settings of the program that listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Limit: files of one program that are read, and bytes of each.
const FILES_MAX: usize = 30;
const BYTES_MAX: u64 = 256 * 1024;

/// Limit: servers behind one proxy that are looked at.
const SERVERS_MAX: usize = 8;

const PROGRAMS: &str = include_str!("programs.toml");

#[derive(Debug, Deserialize)]
struct Programs {
    program: Vec<Program>,
}

/// A program that passes requests on; see the file.
#[derive(Debug, Deserialize)]
struct Program {
    name: String,
    flags: Vec<String>,
    files: Vec<String>,
    folders: Vec<String>,
    words: Vec<String>,
}

/// A server that the settings of a proxy name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Behind {
    pub(crate) address: SocketAddr,
    /// Whether the proxy is to speak TLS to it.
    pub(crate) is_tls: bool,
    /// "/etc/nginx/nginx.conf:12".
    pub(crate) place: String,
}

/// The servers behind the program with this command line; files are looked for below `root`, a
/// relative one from `folder`. Empty when the program is none that is known.
pub(crate) fn servers(root: &Path, folder: &Path, arguments: &[String]) -> Vec<Behind> {
    // Some programs write their title into the first word.
    let words: Vec<&str> = arguments.iter().flat_map(|word| word.split_whitespace()).collect();
    let programs = toml::from_str::<Programs>(PROGRAMS).map(|all| all.program).unwrap_or_default();
    let first = words.first().map_or("", |word| word.trim_end_matches(':'));
    let name = first.rsplit(['/', '\\']).next().unwrap_or(first).trim_end_matches(".exe");
    let Some(program) = programs.iter().find(|program| program.name == name) else {
        return Vec::new();
    };
    let mut found: Vec<Behind> = Vec::new();
    for file in files(program, root, folder, &words) {
        let text = crate::tail::head(&file, BYTES_MAX).unwrap_or_default();
        for behind in read(program, &file, &text) {
            if !found.iter().any(|known| known.address == behind.address) {
                found.push(behind);
            }
        }
    }
    found.truncate(SERVERS_MAX);
    found
}

fn files(program: &Program, root: &Path, folder: &Path, words: &[&str]) -> Vec<PathBuf> {
    let told = words.iter().enumerate().find_map(|(at, word)| {
        let (flag, value) = word.split_once('=').map_or((*word, None), |(f, v)| (f, Some(v)));
        let is_flag = program.flags.iter().any(|known| known == flag);
        is_flag.then(|| value.or_else(|| words.get(at + 1).copied()))?
    });
    if let Some(told) = told {
        return vec![folder.join(told)];
    }
    let own = program.files.iter().map(|path| root.join(path));
    let listed = program.folders.iter().filter_map(|path| std::fs::read_dir(root.join(path)).ok());
    let mut inner: Vec<PathBuf> =
        listed.flat_map(|entries| entries.flatten().map(|entry| entry.path())).collect();
    inner.sort();
    own.chain(inner).filter(|path| path.is_file()).take(FILES_MAX).collect()
}

/// The servers that lines with one of the program's words name.
fn read(program: &Program, file: &Path, text: &str) -> Vec<Behind> {
    let lines = text.lines().enumerate().flat_map(|(at, line)| {
        // Settings of nginx and Caddy may stand on one line with their braces.
        line.split(['{', ';', '}']).map(move |part| (at + 1, part.trim()))
    });
    let mut found = Vec::new();
    for (number, line) in lines {
        let names = |word: &&String| {
            line.strip_prefix(word.as_str())
                .is_some_and(|rest| rest.starts_with([' ', '\t', ':', '=']))
        };
        if line.starts_with(['#', '/']) || !program.words.iter().any(|word| names(&word)) {
            continue;
        }
        let place = format!("{}:{number}", file.display());
        let tokens = line.split_whitespace().skip(1);
        let addresses = tokens.filter_map(address);
        found.extend(addresses.map(|(address, is_tls)| Behind {
            address,
            is_tls,
            place: place.clone(),
        }));
    }
    found
}

/// `http://127.0.0.1:8000/x`, `https://localhost`, `127.0.0.1:8000`; names of other machines are
/// not resolved.
fn address(token: &str) -> Option<(SocketAddr, bool)> {
    let token = token.trim_matches(['"', '\'', ',', ';']);
    let (scheme, rest) = token.split_once("://").map_or((None, token), |(s, r)| (Some(s), r));
    let is_tls = matches!(scheme, Some("https" | "wss" | "h2" | "grpcs"));
    let place = rest.split('/').next().unwrap_or(rest);
    let usual = scheme.map(|_| if is_tls { 443 } else { 80 });
    if let Ok(address) = place.parse::<SocketAddr>() {
        return Some((address, is_tls));
    }
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse::<u16>().ok()?)),
        None => (place, None),
    };
    let ip = match host.parse::<IpAddr>() {
        Ok(ip) => ip,
        Err(_) if host.eq_ignore_ascii_case("localhost") => Ipv4Addr::LOCALHOST.into(),
        Err(_) => return None,
    };
    Some((SocketAddr::new(ip, port.or(usual)?), is_tls))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::servers;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    fn seen(root: &Path, line: &str) -> Vec<String> {
        let found = servers(root, root, &words(line));
        found
            .iter()
            .map(|one| format!("{}{}", one.address, if one.is_tls { " tls" } else { "" }))
            .collect()
    }

    #[test]
    fn the_settings_of_each_program_name_the_servers_behind() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "etc/nginx/nginx.conf",
            "http {\n  # proxy_pass http://127.0.0.1:1;\n\
             upstream app { server 127.0.0.1:8000; }\n\
             server { listen 80; server_name x; }\n}\n",
        );
        write("etc/nginx/conf.d/a.conf", "location / { proxy_pass https://localhost/api; }\n");
        assert_eq!(
            seen(root.path(), "nginx: master process /usr/sbin/nginx"),
            ["127.0.0.1:8000", "127.0.0.1:443 tls"]
        );
        write("my.conf", "proxy_pass http://[::1]:9000;\nproxy_pass http://app.internal:80;\n");
        assert_eq!(seen(root.path(), "nginx: master process nginx -c my.conf"), ["[::1]:9000"]);
        write("Caddyfile", ":8080 {\n\treverse_proxy localhost:9001 127.0.0.1:9002\n}\n");
        assert_eq!(
            seen(root.path(), "/usr/bin/caddy run --config=Caddyfile"),
            ["127.0.0.1:9001", "127.0.0.1:9002"]
        );
        write("etc/haproxy/haproxy.cfg", "backend b\n  server s1 127.0.0.1:9003 check\n");
        assert_eq!(seen(root.path(), "haproxy -Ws"), ["127.0.0.1:9003"]);
        write("etc/apache2/sites-enabled/x.conf", "ProxyPass / http://127.0.0.1:9004/\n");
        assert_eq!(seen(root.path(), "/usr/sbin/apache2 -k start"), ["127.0.0.1:9004"]);
        write("t.yml", "services:\n  a:\n    - url: \"http://127.0.0.1:9005\"\n");
        assert_eq!(seen(root.path(), "traefik --configFile=t.yml"), ["127.0.0.1:9005"]);
        assert!(seen(root.path(), "python3 app.py").is_empty());
        assert!(seen(root.path(), "nginx -c absent.conf").is_empty());
    }

    #[test]
    fn where_a_server_is_named_is_told_with_its_line() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("n.conf"), "events {}\nproxy_pass http://127.0.0.1:7;\n")
            .unwrap();
        let found = servers(root.path(), root.path(), &words("nginx -c n.conf"));
        assert!(found[0].place.ends_with("n.conf:2"), "{found:?}");
    }
}
