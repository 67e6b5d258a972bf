//! Proxies that desktops and systems set for their programs, read from files.

use std::path::Path;

/// A proxy that a file names, and the hosts it leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Who set it and where.
    pub(crate) place: String,
    pub(crate) proxy: String,
    pub(crate) except: String,
}

/// The settings below `root`, with the home folder of the user `uid`.
pub(crate) fn desktop(root: &Path, uid: u32) -> Vec<Setting> {
    let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let mut found = Vec::new();
    found.extend(of_environment(&text(&root.join("etc/environment"))));
    let passwd = text(&root.join("etc/passwd"));
    if let Some(home) = home(&passwd, uid) {
        let kde = root.join(home.trim_start_matches('/')).join(".config/kioslaverc");
        found.extend(of_kde(&text(&kde)));
    }
    let system = root.join("Library/Preferences/SystemConfiguration/preferences.plist");
    found.extend(of_macos(&text(&system)));
    #[cfg(windows)]
    found.extend(super::windows::setting());
    found
}

fn home(passwd: &str, uid: u32) -> Option<&str> {
    let uid = uid.to_string();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        (fields.next()? == uid).then_some(())?;
        fields.nth(2)
    })
}

/// `/etc/environment`: what every login gets, whatever this shell has.
fn of_environment(text: &str) -> Option<Setting> {
    let value = |key: &str| {
        text.lines().find_map(|line| {
            let line = line.trim();
            let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
            name.eq_ignore_ascii_case(key).then(|| value.trim_matches(['"', '\'']).to_owned())
        })
    };
    let proxy = value("http_proxy").or_else(|| value("all_proxy")).filter(|v| !v.is_empty())?;
    let except = value("no_proxy").unwrap_or_default();
    Some(Setting { place: "/etc/environment".to_owned(), proxy, except })
}

/// KDE's `kioslaverc`: `ProxyType=1` is a proxy by hand.
fn of_kde(text: &str) -> Option<Setting> {
    let section = text.split("[Proxy Settings]").nth(1)?;
    let section = section.split("\n[").next().unwrap_or(section);
    let value = |key: &str| {
        section.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == key).then(|| value.trim().to_owned())
        })
    };
    (value("ProxyType")? == "1").then_some(())?;
    // KDE writes host and port with a space between.
    let proxy = value("httpProxy").filter(|value| !value.is_empty())?.replace(' ', ":");
    let except = value("NoProxyFor").unwrap_or_default();
    Some(Setting { place: "KDE (~/.config/kioslaverc)".to_owned(), proxy, except })
}

/// The network settings of macOS: `HTTPEnable`, `HTTPProxy`, `HTTPPort`, `ExceptionsList`.
fn of_macos(text: &str) -> Option<Setting> {
    let after = |key: &str| text.split(&format!("<key>{key}</key>")).nth(1).map(str::trim_start);
    let inner = |part: &str, tag: &str| {
        let rest = part.strip_prefix(&format!("<{tag}>"))?;
        rest.split(&format!("</{tag}>")).next().map(str::to_owned)
    };
    (inner(after("HTTPEnable")?, "integer")? == "1").then_some(())?;
    let host = inner(after("HTTPProxy")?, "string")?;
    let port = after("HTTPPort").and_then(|part| inner(part, "integer"));
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    let list = after("ExceptionsList").and_then(|part| inner(part, "array")).unwrap_or_default();
    let except: Vec<&str> =
        list.split("<string>").skip(1).filter_map(|part| part.split("</string>").next()).collect();
    let place = "macOS (System Settings, Network, Proxies)".to_owned();
    Some(Setting { place, proxy: format!("{host}{port}"), except: except.join(",") })
}

#[cfg(test)]
mod tests {
    use super::desktop;

    #[test]
    fn the_settings_of_each_system_are_read() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert!(desktop(root.path(), 1000).is_empty());
        write("etc/environment", "PATH=x\nHTTP_PROXY=\"http://p:1\"\nno_proxy=localhost\n");
        write("etc/passwd", "root:x:0:0::/root:/bin/sh\nann:x:1000:1000:Ann:/home/ann:/bin/sh\n");
        write(
            "home/ann/.config/kioslaverc",
            "[Proxy Settings]\nNoProxyFor=box\nProxyType=1\nhttpProxy=http://k 3128\n[x]\ny=1\n",
        );
        write(
            "Library/Preferences/SystemConfiguration/preferences.plist",
            "<plist><dict><key>ExceptionsList</key>\n<array><string>*.local</string>\
             <string>169.254/16</string></array><key>HTTPEnable</key>\n <integer>1</integer>\
             <key>HTTPPort</key><integer>8080</integer><key>HTTPProxy</key>\
             <string>proxy.corp</string></dict></plist>",
        );
        let found = desktop(root.path(), 1000);
        let proxies: Vec<&str> = found.iter().map(|one| one.proxy.as_str()).collect();
        assert_eq!(proxies, ["http://p:1", "http://k:3128", "proxy.corp:8080"]);
        let except: Vec<&str> = found.iter().map(|one| one.except.as_str()).collect();
        assert_eq!(except, ["localhost", "box", "*.local,169.254/16"]);
        write("home/ann/.config/kioslaverc", "[Proxy Settings]\nProxyType=0\nhttpProxy=k 1\n");
        assert_eq!(desktop(root.path(), 1000).len(), 2);
    }
}
