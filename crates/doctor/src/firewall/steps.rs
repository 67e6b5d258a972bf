//! What a person does on each system when the rules of its firewall cannot be read here.

use crate::report::Fix;

/// Where the rules are shown, and how one program is let through; nothing is switched off.
pub(crate) fn steps(os: &str) -> Vec<Fix> {
    match os {
        "macos" => vec![
            Fix::run(
                "see whether the application firewall blocks the server's program",
                "/usr/libexec/ApplicationFirewall/socketfilterfw --listapps",
            ),
            Fix::run_as_root(
                "let it in (or System Settings, Network, Firewall, Options); the firewall stays on",
                "sudo /usr/libexec/ApplicationFirewall/socketfilterfw --unblockapp PROGRAM",
            ),
            Fix::run_as_root("see the rules of the packet filter", "sudo pfctl -s rules"),
        ],
        "windows" => vec![
            Fix::run(
                "see which programs were denied (Windows asks once, and keeps the answer)",
                "Get-NetFirewallRule -Enabled True -Action Block -Direction Inbound | \
                 Format-Table DisplayName,Profile",
            ),
            Fix::run(
                "remove the rule of that program, as an administrator; the firewall stays on",
                "Remove-NetFirewallRule -DisplayName NAME",
            ),
        ],
        _ => vec![Fix::run_as_root(
            "find the rule and let loopback pass; do not turn the firewall off",
            "sudo nft list ruleset",
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::steps;

    #[test]
    fn every_system_is_told_where_its_rules_are_and_to_leave_the_firewall_on() {
        for (os, command) in
            [("linux", "nft"), ("macos", "socketfilterfw"), ("windows", "NetFirewall")]
        {
            let all = steps(os);
            assert!(all[0].command.as_ref().unwrap().contains(command), "{os}");
            let words: String = all.iter().map(|fix| fix.text.as_str()).collect();
            assert!(words.contains("stays on") || words.contains("do not turn"), "{os}: {words}");
        }
    }
}
