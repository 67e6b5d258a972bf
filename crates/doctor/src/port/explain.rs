//! Explains a port number in one sentence.

use super::{Place, Problem, candidates, class, ephemeral_range, parse, wrapped};

/// One sentence about `number`: what it is, or why it cannot be a port and what it may stand for.
///
/// # Example
/// `explain("619009")` says that ports end at 65535 and names 61900, 29185 and the logical name.
#[must_use]
pub fn explain(number: &str) -> String {
    match parse(number, Place::Argument) {
        Ok(0) => {
            "0 is the port that means \"any free one\": a server may bind it and gets another \
                  number, and no client can connect to it"
                .to_owned()
        }
        Ok(port) => real(port),
        Err(invalid) if invalid.problem == Problem::OutOfRange => impossible(&invalid.value),
        Err(invalid) => invalid.to_string(),
    }
}

fn real(port: u16) -> String {
    let home = if port == super::HOME { ", the home port of rapport" } else { "" };
    let lent =
        ephemeral_range().filter(|range| range.contains(&port)).map_or_else(String::new, |range| {
            format!(
                ", inside the range {}-{} that this system lends to outgoing connections",
                range.start(),
                range.end()
            )
        });
    format!("{port} is a TCP port in the {} range{home}{lent}", class(port))
}

fn impossible(number: &str) -> String {
    let typed: Vec<String> = candidates(number).iter().take(4).map(u16::to_string).collect();
    let typo = if typed.is_empty() {
        String::new()
    } else {
        format!("a typing mistake for {}, ", typed.join(", "))
    };
    let wrap = wrapped(number).unwrap_or_default();
    format!(
        "{number} cannot be a TCP port, because a port is a 16-bit number and ends at 65535: it is \
         {typo}or the number {wrap} in software that keeps 16 bits, or an application's own name \
         for a real port"
    )
}
