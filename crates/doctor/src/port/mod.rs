//! Everything the product knows about port numbers: parsing, logical names, classes, suggestions.
//!
//! Invariant: text becomes a `u16` here only, from an unbounded decimal number, and never by
//! cutting it to 16 bits.

mod candidates;
mod class;
mod explain;
mod invalid;
mod logical;
mod suggest;
#[cfg(test)]
mod tests;

pub use candidates::candidates;
pub(crate) use class::lent_range;
pub use class::{Class, bind_warnings, class, ephemeral_range};
pub use explain::explain;
pub use invalid::{InvalidPort, Place, Problem};
pub use logical::{InvalidMapping, LogicalMap};
pub use suggest::{is_free, suggest};

/// The product's own port, used wherever none is given.
pub const HOME: u16 = 61900;

/// The number many texts print where [`HOME`] is meant; it is no TCP port.
pub const IMPOSSIBLE: &str = "619009";

/// A port a program may use, and what to tell the user about how it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The real TCP port.
    pub port: u16,
    /// One line for standard error or the log when the text was a logical name.
    pub warning: Option<String>,
}

/// Reads a TCP port from decimal digits; leading zeros are fine, anything else is an error.
///
/// # Errors
/// [`InvalidPort`] with the value, `place` and ranked candidates when `text` is no port 0-65535.
pub fn parse(text: &str, place: Place) -> Result<u16, InvalidPort> {
    match digits(text) {
        Ok(digits) => digits
            .parse::<u16>()
            .map_err(|_overflow| InvalidPort::new(text, place, Problem::OutOfRange)),
        Err(problem) => Err(InvalidPort::new(text, place, problem)),
    }
}

/// Reads a TCP port as [`parse`] does, and knows the numbers that are names for a real port.
///
/// With `strict` the map is off and a logical name is an error like any other number.
///
/// # Errors
/// [`InvalidPort`] when `text` is neither a port 0-65535 nor, without `strict`, in the map.
pub fn resolve(
    text: &str,
    place: Place,
    strict: bool,
    map: &LogicalMap,
) -> Result<Resolved, InvalidPort> {
    match parse(text, place) {
        Ok(port) => Ok(Resolved { port, warning: None }),
        Err(invalid) => match map.port(text) {
            Some(port) if !strict => {
                Ok(Resolved { port, warning: Some(logical::warning(text, port)) })
            }
            Some(port) => Err(invalid.prefer(port)),
            None => Err(invalid),
        },
    }
}

/// Refuses port 0, which a server may bind but a client cannot connect to.
///
/// # Errors
/// [`InvalidPort`] with [`Problem::Zero`] when `port` is 0.
pub fn for_client(port: u16, place: Place) -> Result<u16, InvalidPort> {
    if port == 0 { Err(InvalidPort::new("0", place, Problem::Zero)) } else { Ok(port) }
}

/// The port that software keeping only the low 16 bits of `text` really uses.
///
/// `None` when `text` is not made of decimal digits. The number may have any length.
#[must_use]
pub fn wrapped(text: &str) -> Option<u16> {
    let digits = digits(text).ok()?;
    let low = digits.bytes().fold(0_u32, |sum, byte| (sum * 10 + u32::from(byte - b'0')) % 65_536);
    u16::try_from(low).ok()
}

/// The digits of `text` without leading zeros ("0" for zero), or what is wrong with them.
pub(crate) fn digits(text: &str) -> Result<&str, Problem> {
    if text.is_empty() {
        return Err(Problem::Empty);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let short = text.trim_start_matches('0');
        return Ok(if short.is_empty() { "0" } else { short });
    }
    let all_digits = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    let trimmed = text.trim();
    if trimmed.is_empty() || all_digits(trimmed) {
        return Err(Problem::Whitespace);
    }
    if text.strip_prefix('-').is_some_and(all_digits) {
        return Err(Problem::Negative);
    }
    if text.strip_prefix('+').is_some_and(all_digits) {
        return Err(Problem::PlusSign);
    }
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    if hex.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_hexdigit())) {
        return Err(Problem::Hex);
    }
    Err(Problem::NotDigits)
}
