//! The version of Anthropic's API that a caller speaks: a known one, and kept to.

use http::HeaderMap;
use wire::dialect::AnthropicVersion;
use wire::{Code, Fault};

/// The header that names it; who sends none speaks the first.
const VERSION: &str = "anthropic-version";

/// Checks a request of Anthropic's API against the version it names.
///
/// # Errors
/// `version_mismatch` with the known versions; `invalid_input` for a field that the version does
/// not have.
pub(super) fn check(headers: &HeaderMap, body: &[u8]) -> Result<(), Fault> {
    let Some(version) = headers.get(VERSION) else { return Ok(()) };
    let version = version.to_str().map_err(|cause| {
        Fault::new(Code::VersionMismatch, format!("`{VERSION}` must be a date")).because(cause)
    })?;
    AnthropicVersion::parse(version)?.check(body)
}
