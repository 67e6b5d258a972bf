//! Tells an inspector of what was said elsewhere: by a program that another one started.

use crate::capture::Exchange;
use crate::export::{Secrets, line};
use crate::proxy::Target;

/// The path below which an inspector takes what others saw.
pub(crate) const PATH: &str = "/__rapport__/told/";

/// Shows an exchange, as it is now, in the inspector at `target`. The same `key` means the same
/// exchange, which takes the place of what was told before.
///
/// # Errors
/// Why it could not be told, after the target's name.
pub async fn tell(
    target: &Target,
    key: &str,
    exchange: &Exchange,
    secrets: Secrets,
) -> Result<(), String> {
    crate::collector::send(target, &format!("{PATH}{key}"), &line(exchange, secrets)).await
}
