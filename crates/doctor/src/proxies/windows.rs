//! The proxy of a user of Windows: values of the registry, as programs read them.

use super::files::Setting;

/// Where the settings are.
#[cfg(windows)]
const KEY: &str = r"Software\Microsoft\Windows\CurrentVersion\Internet Settings";

/// The user's settings; none when no proxy is in use.
#[cfg(windows)]
pub(super) fn setting() -> Option<Setting> {
    use native::windows::registry::{Root, number, text};
    let is_on = number(Root::User, KEY, "ProxyEnable") == Some(1);
    let server = text(Root::User, KEY, "ProxyServer").unwrap_or_default();
    let except = text(Root::User, KEY, "ProxyOverride").unwrap_or_default();
    if is_on { read(&server, &except) } else { None }
}

/// `host:port` for everything, or `http=host:port;https=…`; exceptions between semicolons. Loopback
/// is left out of itself, unless `<-loopback>` stands there.
pub(super) fn read(server: &str, except: &str) -> Option<Setting> {
    let of = |scheme: &str| {
        server.split(';').find_map(|part| {
            let (name, value) = part.trim().split_once('=')?;
            name.trim().eq_ignore_ascii_case(scheme).then(|| value.trim().to_owned())
        })
    };
    let proxy = if server.contains('=') {
        of("http").or_else(|| of("https"))?
    } else {
        server.trim().to_owned()
    };
    if proxy.is_empty() {
        return None;
    }
    let words = || except.split(';').map(str::trim).filter(|word| !word.is_empty());
    let mut list: Vec<&str> = words().filter(|word| !word.starts_with('<')).collect();
    if !words().any(|word| word.eq_ignore_ascii_case("<-loopback>")) {
        list.extend(["localhost", "127.0.0.0/8", "::1"]);
    }
    let place = "Windows (Settings, Network & internet, Proxy)".to_owned();
    Some(Setting { place, proxy, except: list.join(",") })
}

#[cfg(test)]
mod tests {
    use super::read;

    #[track_caller]
    fn check(server: &str, except: &str, expected: Option<(&str, &str)>) {
        let found = read(server, except).map(|one| (one.proxy, one.except));
        let expected = expected.map(|(proxy, list)| (proxy.to_owned(), list.to_owned()));
        assert_eq!(found, expected, "{server} {except}");
    }

    #[test]
    fn a_proxy_leaves_loopback_out_unless_told_not_to() {
        let loopback = "localhost,127.0.0.0/8,::1";
        check("proxy:8080", "", Some(("proxy:8080", loopback)));
        let with = format!("*.corp,10.*,{loopback}");
        check("proxy:8080", "*.corp; 10.*;<local>", Some(("proxy:8080", &with)));
        check("proxy:8080", "<-loopback>", Some(("proxy:8080", "")));
        check("https=s:1;http=h:2;socks=k:3", "<-loopback>;a", Some(("h:2", "a")));
        check("socks=k:3", "", None);
        check("", "", None);
    }
}
