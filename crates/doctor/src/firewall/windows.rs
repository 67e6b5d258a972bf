//! Rules of Windows' firewall, as the registry keeps them: one text of `Name=Value` parts each.

/// A rule that ends connections which come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// What the list of rules calls it.
    pub(crate) name: String,
    /// The program it is for; every program when there is none.
    pub(crate) program: Option<String>,
    /// `Private`, `Public`, `Domain`; all networks when there is none.
    pub(crate) networks: Vec<String>,
}

impl Block {
    /// The rule in one line.
    pub(crate) fn line(&self) -> String {
        let networks = match self.networks.as_slice() {
            [] => "every network".to_owned(),
            some => format!("networks of kind {}", some.join(", ").to_lowercase()),
        };
        let whose = self.program.as_deref().unwrap_or("every program");
        format!(
            "the rule `{}` of Windows' firewall keeps other machines from {whose}, in {networks}",
            self.name
        )
    }
}

/// The rule, when it is on and ends TCP connections to `port` of `program`.
///
/// `v2.32|Action=Block|Active=TRUE|Dir=In|Protocol=6|Profile=Public|App=C:\x.exe|Name=x|`
pub(crate) fn block(rule: &str, program: &str, port: u16) -> Option<Block> {
    let parts: Vec<(&str, &str)> =
        rule.split('|').filter_map(|part| part.split_once('=')).collect();
    let values = |name: &str| {
        let name = name.to_owned();
        parts.iter().filter(move |(known, _)| *known == name).map(|(_, value)| *value)
    };
    let first = |name: &str| values(name).next();
    let is = |name: &str, value: &str| {
        first(name).is_some_and(|known| known.eq_ignore_ascii_case(value))
    };
    if !(is("Action", "Block") && is("Active", "TRUE") && is("Dir", "In")) {
        return None;
    }
    // 6 is TCP; a rule without a protocol is for all.
    if first("Protocol").is_some_and(|number| number != "6") {
        return None;
    }
    let mut ports = values("LPort").peekable();
    if ports.peek().is_some() && !ports.any(|list| covers(list, port)) {
        return None;
    }
    let app = first("App").filter(|app| !app.is_empty());
    // A path in a rule may begin with a variable, such as %ProgramFiles%.
    let same = |app: &str| {
        let (app, program) = (app.to_ascii_lowercase(), program.to_ascii_lowercase());
        match app.strip_prefix('%').and_then(|rest| rest.split_once('%')) {
            Some((_, rest)) => program.ends_with(rest),
            None => app == program,
        }
    };
    if app.is_some_and(|app| !same(app)) {
        return None;
    }
    // A rule for everything of another kind (services, packages) is not for a program.
    let is_other = app.is_none()
        && ["Svc", "AppPkgId", "LUOwn"].iter().any(|name| values(name).next().is_some());
    (!is_other).then(|| Block {
        name: first("Name").unwrap_or("without a name").to_owned(),
        program: app.map(str::to_owned),
        networks: values("Profile").map(str::to_owned).collect(),
    })
}

/// `8080`, `8000-8100`, or words such as `RPC`.
fn covers(list: &str, port: u16) -> bool {
    list.split(',').any(|part| match part.trim().split_once('-') {
        Some((from, to)) => from
            .parse::<u16>()
            .ok()
            .zip(to.parse::<u16>().ok())
            .is_some_and(|(from, to)| (from..=to).contains(&port)),
        None => part.trim().parse::<u16>().is_ok_and(|one| one == port),
    })
}

/// The rules of this machine that keep others from `port` of `program`.
#[cfg(windows)]
pub(crate) fn blocks(program: &str, port: u16) -> Vec<Block> {
    use native::windows::registry::{Root, texts};
    let base = "SYSTEM\\CurrentControlSet\\Services\\SharedAccess\\Parameters\\FirewallPolicy";
    let rules = texts(Root::Machine, &format!("{base}\\FirewallRules"));
    rules.iter().filter_map(|rule| block(rule, program, port)).collect()
}

#[cfg(test)]
mod tests {
    use super::block;

    /// As Windows writes them when a person denied the question about a program.
    const DENIED: &str = "v2.31|Action=Block|Active=TRUE|Dir=In|Protocol=6|Profile=Private|\
                          Profile=Public|App=C:\\Users\\ann\\python.exe|Name=Python|Desc=Python|\
                          Defer=User|";

    const PYTHON: &str = "c:\\users\\ann\\Python.exe";

    #[test]
    fn the_rule_of_a_denied_question_is_found() {
        let found = block(DENIED, PYTHON, 8080).unwrap();
        assert_eq!(
            found.line(),
            "the rule `Python` of Windows' firewall keeps other machines from \
             C:\\Users\\ann\\python.exe, in networks of kind private, public"
        );
    }

    #[test]
    fn rules_that_let_in_are_off_or_are_for_others_are_no_blocks() {
        for (from, to) in [
            ("Action=Block", "Action=Allow"),
            ("Active=TRUE", "Active=FALSE"),
            ("Dir=In", "Dir=Out"),
            ("Protocol=6", "Protocol=17"),
            ("Protocol=6", "Protocol=6|LPort=80"),
            ("python.exe", "node.exe"),
        ] {
            assert_eq!(block(&DENIED.replace(from, to), PYTHON, 8080), None, "{to}");
        }
        assert_eq!(block("", PYTHON, 1), None);
        assert_eq!(block("v2.31|Action=Block|Active=TRUE|Dir=In|Svc=x|", PYTHON, 1), None);
    }

    #[test]
    fn ports_ranges_and_variables_are_understood() {
        let with = |part: &str| DENIED.replace("Protocol=6", part);
        assert!(block(&with("Protocol=6|LPort=80|LPort=8080"), PYTHON, 8080).is_some());
        assert!(block(&with("Protocol=6|LPort=8000-8100"), PYTHON, 8080).is_some());
        assert!(block(&with("Protocol=6|LPort=RPC"), PYTHON, 8080).is_none());
        let all = DENIED.replace("|App=C:\\Users\\ann\\python.exe", "");
        assert!(block(&all, PYTHON, 8080).unwrap().line().contains("every program"));
        let variable = DENIED.replace("C:\\Users\\ann\\", "%USERPROFILE%\\");
        assert!(block(&variable, PYTHON, 8080).is_some());
    }
}
