//! What files tell of firewalls without any right: ufw, firewalld, and the older iptables.

use std::path::Path;

/// One line for each firewall that is set up here.
pub(super) fn notes(root: &Path) -> Vec<String> {
    let text = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    let mut notes = Vec::new();
    if setting(&text("etc/ufw/ufw.conf"), "ENABLED").as_deref() == Some("yes") {
        let policy = setting(&text("etc/default/ufw"), "DEFAULT_INPUT_POLICY");
        let policy = policy.unwrap_or_else(|| "not readable".to_owned());
        notes.push(format!(
            "ufw is on (/etc/ufw/ufw.conf), and its policy for what comes in is {policy}"
        ));
        notes.extend(ufw_rules(&text("etc/ufw/user.rules")));
    }
    let firewalld = text("etc/firewalld/firewalld.conf");
    if let Some(zone) = setting(&firewalld, "DefaultZone") {
        notes.push(format!("firewalld is set up (/etc/firewalld), with the zone {zone}"));
        let path = format!("etc/firewalld/zones/{zone}.xml");
        notes.extend(zone_ports(&path, &text(&path)));
    }
    for (path, tool) in
        [("proc/net/ip_tables_names", "iptables"), ("proc/net/ip6_tables_names", "ip6tables")]
    {
        let tables = text(path).split_whitespace().collect::<Vec<_>>().join(", ");
        if !tables.is_empty() {
            notes.push(format!(
                "the older {tool} has tables ({tables}), which `sudo {tool}-legacy-save` shows"
            ));
        }
    }
    notes
}

/// `KEY=value` or `KEY="value"`.
fn setting(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let value = line.trim().strip_prefix(key)?.trim_start().strip_prefix('=')?;
        Some(value.trim().trim_matches('"').to_owned())
    })
}

/// Lines such as `### tuple ### deny tcp 61900 0.0.0.0/0 any 0.0.0.0/0 in`.
fn ufw_rules(text: &str) -> Vec<String> {
    let rules = text.lines().enumerate().filter_map(|(at, line)| {
        let rule = line.strip_prefix("### tuple ### ")?;
        let closes = rule.starts_with("deny") || rule.starts_with("reject");
        closes.then(|| format!("/etc/ufw/user.rules line {}: {rule}", at + 1))
    });
    rules.take(3).collect()
}

/// The ports a zone of firewalld opens: `<port protocol="tcp" port="61900"/>`.
fn zone_ports(path: &str, text: &str) -> Option<String> {
    let ports: Vec<&str> = text
        .split("<port ")
        .skip(1)
        .filter_map(|rest| rest.split("port=\"").nth(1)?.split('"').next())
        .collect();
    if text.is_empty() {
        return None;
    }
    let list = if ports.is_empty() { "no port".to_owned() } else { ports.join(", ") };
    Some(format!("/{path} opens {list}"))
}

#[cfg(test)]
mod tests {
    use super::notes;

    #[test]
    fn the_files_of_each_firewall_are_read() {
        let root = tempfile::tempdir().unwrap();
        assert!(notes(root.path()).is_empty());
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("etc/ufw/ufw.conf", "# x\nENABLED=yes\n");
        write("etc/default/ufw", "DEFAULT_INPUT_POLICY=\"DROP\"\n");
        write(
            "etc/ufw/user.rules",
            "*filter\n### tuple ### deny tcp 61900 0.0.0.0/0 any 0.0.0.0/0 in\n\
             ### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n",
        );
        write("etc/firewalld/firewalld.conf", "DefaultZone=public\n");
        write(
            "etc/firewalld/zones/public.xml",
            "<zone><port protocol=\"tcp\" port=\"61900\"/><service name=\"ssh\"/></zone>",
        );
        write("proc/net/ip_tables_names", "filter\nnat\n");
        let notes = notes(root.path());
        let all = notes.join("\n");
        assert_eq!(notes.len(), 5, "{all}");
        for part in [
            "policy for what comes in is DROP",
            "user.rules line 2: deny tcp 61900",
            "the zone public",
            "public.xml opens 61900",
            "(filter, nat)",
        ] {
            assert!(all.contains(part), "`{part}` is not in {all}");
        }
        write("etc/ufw/ufw.conf", "ENABLED=no\n");
        assert!(!super::notes(root.path()).join("\n").contains("ufw is on"));
    }
}
