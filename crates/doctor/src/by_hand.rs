//! The commands with which a person looks at a port without this program, for each system.

use serde::Serialize;

/// One look, and the command for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ByHand {
    /// What it shows.
    pub shows: &'static str,
    /// The command, for the usual shell of the system; on Windows PowerShell.
    pub command: String,
}

/// The commands for one port of a host, in the order in which the ladder looks. `system` is a
/// name as in [`std::env::consts::OS`]; systems that are not known get those of Linux.
#[must_use]
pub fn commands(system: &str, host: &str, port: u16) -> Vec<ByHand> {
    // A name of the user's own is not put into a command as it stands.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let host = if host.is_empty() || !host.chars().all(is_plain) { "localhost" } else { host };
    let authority = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let curl = |name: &str| format!("{name} -sv -m 5 http://{authority}:{port}/");
    let rows: Vec<(&'static str, String)> = match system {
        "windows" => vec![
            ("what the name stands for", format!("Resolve-DnsName {host}")),
            (
                "who listens",
                format!(
                    "Get-NetTCPConnection -LocalPort {port} -State Listen | Select-Object \
                     LocalAddress, OwningProcess"
                ),
            ),
            ("which program that is", "tasklist /FI \"PID eq <PID>\"".to_owned()),
            ("whether it accepts", format!("Test-NetConnection {host} -Port {port}")),
            ("what it answers", curl("curl.exe")),
            (
                "ports that Windows reserved",
                "netsh int ipv4 show excludedportrange protocol=tcp".to_owned(),
            ),
            ("the proxy", "netsh winhttp show proxy".to_owned()),
        ],
        "macos" => vec![
            ("what the name stands for", format!("dscacheutil -q host -a name {host}")),
            ("who listens", format!("sudo lsof -nP -iTCP:{port} -sTCP:LISTEN")),
            ("which program that is", "ps -p <PID> -o pid,stat,lstart,command".to_owned()),
            ("whether it accepts", format!("nc -vz -w 3 {host} {port}")),
            ("what it answers", curl("curl")),
            ("rules of the firewall", "sudo pfctl -sr".to_owned()),
            ("the proxy", "scutil --proxy; env | grep -i proxy".to_owned()),
        ],
        _ => vec![
            ("what the name stands for", format!("getent ahosts {host}")),
            ("who listens", format!("sudo ss -ltnp 'sport = :{port}'")),
            ("which program that is", "ps -p <PID> -o pid,stat,lstart,cmd".to_owned()),
            ("whether it accepts", format!("nc -vz -w 3 {host} {port}")),
            ("what it answers", curl("curl")),
            ("rules of the firewall", "sudo nft list ruleset".to_owned()),
            ("the proxy", "env | grep -i proxy".to_owned()),
        ],
    };
    rows.into_iter().map(|(shows, command)| ByHand { shows, command }).collect()
}

#[cfg(test)]
mod tests {
    use super::commands;

    #[test]
    fn each_system_gets_its_own_commands_for_the_port() {
        let cases = [
            ("windows", "Get-NetTCPConnection -LocalPort 61900 -State Listen"),
            ("macos", "lsof -nP -iTCP:61900 -sTCP:LISTEN"),
            ("linux", "ss -ltnp 'sport = :61900'"),
            ("freebsd", "ss -ltnp 'sport = :61900'"),
        ];
        for (system, command) in cases {
            let found = commands(system, "localhost", 61900);
            let listens = found.iter().find(|row| row.shows == "who listens").unwrap();
            assert!(listens.command.contains(command), "{system}: {}", listens.command);
            assert!(found.iter().any(|row| row.command.contains("//localhost:61900/")), "{system}");
        }
    }

    #[test]
    fn hosts_stand_in_commands_as_shells_and_urls_take_them() {
        let with = |host: &str| commands("linux", host, 80)[4].command.clone();
        assert!(with("::1").ends_with("http://[::1]:80/"), "{}", with("::1"));
        assert!(with("$(rm x)").ends_with("http://localhost:80/"), "{}", with("$(rm x)"));
    }
}
