//! Writes the troubleshooting page from the doctor's own knowledge, so that both always agree.
//!
//! `cargo run -p doctor --example troubleshooting > docs/troubleshooting.md`

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(doctor::knowledge::page().as_bytes())
}
