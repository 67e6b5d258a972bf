//! Rung 3: when the address leads nowhere, what listens on the ports that may have been meant.

mod absent;
mod confined;
mod impossible;
mod kept;
mod lent;
mod look;
mod missing;
#[cfg(test)]
mod tests;

pub(crate) use look::answers_as_ours;
pub(crate) use missing::was_started_for;

use std::time::Duration;

use super::{About, Check, Pending};
use crate::case::Case;

/// See the module.
pub(crate) struct Elsewhere;

impl Check for Elsewhere {
    fn about(&self) -> About {
        About {
            id: "elsewhere",
            title: "other ports that may have been meant",
            proves: "no other port answers in the place of this one",
            rung: 3,
            budget: Duration::from_secs(3),
            verdicts: &[
                "address.port_out_of_range",
                "address.port_truncated",
                "address.port_typo",
                "container.client_inside",
                "container.loopback_bind",
                "container.not_published",
                "listen.bound_only",
                "listen.ephemeral_collision",
                "listen.excluded_range",
                "listen.none",
                "listen.not_yet",
                "listen.other_port",
                "listen.privileged",
                "listen.time_wait",
                "listen.udp_only",
                "listen.unix_socket",
                "sandbox.server",
                "security.apparmor",
                "security.selinux",
                "wsl.windows_host",
            ],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        if case.target.is_err() {
            return Some("the address cannot be read".to_owned());
        }
        if case.facts.invalid_port.is_none() && !case.facts.nothing_listens {
            return Some("the port of the address was the point to look at".to_owned());
        }
        None
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(async move {
            match &case.facts.invalid_port {
                Some(invalid) => impossible::look(case, invalid).await,
                None => missing::look(case).await,
            }
        })
    }
}
