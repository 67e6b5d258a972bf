//! Programs that tests need: looked for first, then installed from Debian by name.

use std::path::Path;

use crate::program::{self, command};
use crate::say;
use crate::step::Outcome;

/// A program, where it comes from and what for.
#[derive(Clone, Copy, Debug)]
struct Package {
    /// The name in Debian.
    debian: &'static str,
    /// It is there when one of these commands succeeds or, of a single word, is found.
    probes: &'static [&'static [&'static str]],
    /// What uses it.
    why: &'static str,
    /// The step that cannot run without it.
    step: &'static str,
    /// It is wanted when the tree has this.
    wanted_by: &'static str,
}

const PACKAGES: &[Package] = &[
    Package {
        debian: "python3-venv",
        probes: &[&["python3", "-c", "import venv, ensurepip"]],
        why: "the samples and the Python client run in an environment of their own",
        step: "python",
        wanted_by: "clients/python",
    },
    Package {
        debian: "nodejs",
        probes: &[&["node"]],
        why: "the samples in JavaScript and the tests of the console",
        step: "node",
        wanted_by: "tests",
    },
    Package {
        debian: "npm",
        probes: &[&["npm"]],
        why: "installs what those import",
        step: "node",
        wanted_by: "tests",
    },
    Package {
        debian: "curl",
        probes: &[&["curl"]],
        why: "documented client of the samples",
        step: "samples",
        wanted_by: "tests/samples",
    },
    Package {
        debian: "wget",
        probes: &[&["wget"]],
        why: "documented client of the samples",
        step: "samples",
        wanted_by: "tests/samples",
    },
    Package {
        debian: "netcat-openbsd",
        probes: &[&["nc"]],
        why: "documented client of the samples",
        step: "samples",
        wanted_by: "tests/samples",
    },
    Package {
        debian: "telnet",
        probes: &[&["telnet"]],
        why: "documented client of the samples",
        step: "samples",
        wanted_by: "tests/samples",
    },
    Package {
        debian: "chromium",
        probes: &[&["chromium"]],
        why: "the tests look at the console in it",
        step: "console",
        wanted_by: "tests/console",
    },
    Package {
        debian: "redis-server",
        probes: &[&["redis-server"]],
        why: "a healthy server that the doctor must call so",
        step: "tests",
        wanted_by: "crates/doctor/tests/lab",
    },
    Package {
        debian: "nginx-light",
        probes: &[&["nginx"]],
        why: "a healthy server, and a proxy, of the lab of the doctor",
        step: "tests",
        wanted_by: "crates/doctor/tests/lab",
    },
    Package {
        debian: "php-cli",
        probes: &[&["php"]],
        why: "a healthy server that the doctor must call so",
        step: "tests",
        wanted_by: "crates/doctor/tests/lab",
    },
    Package {
        debian: "ruby",
        probes: &[&["ruby"]],
        why: "a healthy server that the doctor must call so",
        step: "tests",
        wanted_by: "crates/doctor/tests/lab",
    },
    Package {
        debian: "busybox",
        probes: &[&["busybox"]],
        why: "a healthy server that the doctor must call so",
        step: "tests",
        wanted_by: "crates/doctor/tests/lab",
    },
    Package {
        debian: "nftables",
        probes: &[&["nft"]],
        why: "the lab of the doctor makes firewalls with it",
        step: "tests",
        wanted_by: "crates/doctor/tests/lab",
    },
];

impl Package {
    fn is_there(&self) -> bool {
        self.probes.iter().any(|probe| match probe {
            [name] => program::find(name).is_some(),
            [name, words @ ..] => program::output(command(Path::new("."), name, words)).is_ok(),
            [] => false,
        })
    }

    fn line(&self) -> String {
        format!("{} (Debian package): {}", self.debian, self.why)
    }
}

/// What the step cannot run without and is not there.
pub(super) fn missing_of(step: &str) -> Vec<String> {
    let of_step = PACKAGES.iter().filter(|package| package.step == step);
    of_step.filter(|package| !package.is_there()).map(Package::line).collect()
}

/// The step: installs what is missing; names what cannot be installed here.
pub(super) fn install(root: &Path) -> anyhow::Result<Outcome> {
    let missing = missing(root);
    if missing.is_empty() {
        return Ok(Outcome::Passed(vec!["everything is there".to_owned()]));
    }
    for package in &missing {
        say::line(&format!("missing: {}", package.line()));
    }
    if let Err(why) = may_install() {
        let mut lines = vec![why];
        lines.extend(missing.iter().map(|package| package.line()));
        return Ok(Outcome::Missing(lines));
    }
    let names: Vec<&str> = missing.iter().map(|package| package.debian).collect();
    say::line(&format!("installing {} with apt-get", names.join(", ")));
    apt(root, &["update", "-qq"])?;
    apt(
        root,
        &["install", "-y", "-qq", "--no-install-recommends"]
            .iter()
            .chain(&names)
            .copied()
            .collect::<Vec<_>>(),
    )?;
    let still = self::missing(root);
    Ok(if still.is_empty() {
        Outcome::Passed(vec![format!("installed {}", names.join(", "))])
    } else {
        Outcome::Missing(still.iter().map(|package| package.line()).collect())
    })
}

fn missing(root: &Path) -> Vec<&'static Package> {
    PACKAGES
        .iter()
        .filter(|package| root.join(package.wanted_by).exists() && !package.is_there())
        .collect()
}

/// Whether this machine lets us install; the reason when it does not.
fn may_install() -> Result<(), String> {
    if program::find("apt-get").is_none() {
        return Err("install these by hand: there is no apt-get here".to_owned());
    }
    let user = program::output(command(Path::new("."), "id", &["-u"])).unwrap_or_default();
    if user.trim() == "0" {
        Ok(())
    } else {
        Err("install these by hand: only root may use apt-get".to_owned())
    }
}

/// A failure is not the end: what is missing afterwards is looked for and named.
fn apt(root: &Path, words: &[&str]) -> anyhow::Result<()> {
    let mut apt = command(root, "apt-get", words);
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    // In runlevel 1 no package starts its service: tests start servers of their own.
    apt.env("RUNLEVEL", "1");
    if !program::stream(apt)?.success {
        say::line(&format!("apt-get {} did not succeed", words.join(" ")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn package(probes: &'static [&'static [&'static str]]) -> Package {
        Package { debian: "x", probes, why: "y", step: "z", wanted_by: "tests" }
    }

    #[test]
    fn a_program_is_found_by_name_or_by_what_it_can_do() {
        assert!(package(&[&["no-such-program"], &["sh"]]).is_there());
        assert!(package(&[&["sh", "-c", "exit 0"]]).is_there());
        assert!(!package(&[&["sh", "-c", "exit 1"]]).is_there());
        assert!(!package(&[&["no-such-program"]]).is_there());
    }

    #[test]
    fn every_package_names_a_step_there_is() {
        for package in PACKAGES {
            let known = super::super::STEPS.iter().any(|step| step.name == package.step);
            assert!(known, "{}", package.step);
        }
    }
}
