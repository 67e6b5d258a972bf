//! Diagnoses the address given as the argument and prints the report; `--json` for programs.

use std::io::Write;

use doctor::{Request, diagnose};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut words = std::env::args().skip(1);
    let mut request = Request::default();
    let mut json = false;
    while let Some(word) = words.next() {
        match word.as_str() {
            "--json" => json = true,
            "--verbose" => request.verbose = true,
            "--only" => request.only = words.next(),
            _ => request.target = Some(word),
        }
    }
    let report = diagnose(&request).await;
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, &report.to_json())?;
        writeln!(out)
    } else {
        write!(out, "{}", report.to_text(false))
    }
}
