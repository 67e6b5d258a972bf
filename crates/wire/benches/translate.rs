//! Prints how much of a body is translated per second of processor time, for every size and pair.
//!
//! `cargo bench -p wire --bench translate` runs all; a word after `--` what has it in its name. The
//! figures are MB/s; beside each step stands what passing the same body costs.
#![expect(clippy::print_stdout, reason = "the figures are the purpose")]
#![expect(clippy::unwrap_used, reason = "a benchmark may end by a panic")]

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use wire::dialect::{Shown, named, rename, scan};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: &[(usize, &str)] =
    &[(1 << 10, "1 KiB"), (16 << 10, "16 KiB"), (256 << 10, "256 KiB"), (4 << 20, "4 MiB")];
/// Who asks in which dialect, and who is asked.
const PAIRS: &[(&str, &str)] =
    &[("openai_chat", "anthropic"), ("anthropic", "openai_chat"), ("openai_chat", "gemini")];
/// A line of a program, as a string of JSON has it.
const CODE: &str =
    "    let answer = compute(&value, \u{e9})?;\\n    println!(\\\"{answer}\\\");\\n";
/// Processor time of one figure.
const FOR: Duration = Duration::from_millis(200);

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    for (text, kind) in [("word ", "plain"), (CODE, "code")] {
        for (from, to) in PAIRS {
            for (size, shown) in SIZES {
                let name = format!("{kind}, {from} to {to}, {shown}");
                if wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())) {
                    row(&name, (from, to), &body(text, *size));
                }
            }
        }
    }
}

/// A question of about this many bytes, in the two dialects' common words.
fn body(text: &str, size: usize) -> Vec<u8> {
    let text = text.repeat(size / text.len());
    let message = format!("{{\"role\":\"user\",\"content\":\"{text}\"}}");
    format!("{{\"model\":\"m\",\"max_tokens\":100,\"messages\":[{message}]}}").into_bytes()
}

fn row(name: &str, (from, to): (&str, &str), body: &[u8]) {
    let (from, to) = (named(from).unwrap(), named(to).unwrap());
    let body = &Bytes::copy_from_slice(body);
    let passed = speed(body.len(), || rename(body, &scan(body).unwrap(), "other").len());
    let read = speed(body.len(), || from.request(body).unwrap().prompt.messages.len());
    let asked = from.request(body).unwrap();
    let written = speed(body.len(), || to.render(&asked.prompt, false).body.len());
    let whole = speed(body.len(), || {
        let asked = from.request(body).unwrap();
        to.render(&asked.prompt, false).body.len()
    });
    let answer = answer(body);
    let reply = speed(answer.len(), || {
        let reply = named("anthropic").unwrap().read(&answer).unwrap();
        named("openai_chat").unwrap().reply(&reply, &Shown::default()).len()
    });
    println!(
        "{name:<42} passed {passed:>7.0}  read {read:>6.0}  written {written:>6.0}  \
         both {whole:>6.0}  answered {reply:>6.0}"
    );
}

/// An answer whose text is as long as the question.
fn answer(body: &[u8]) -> Vec<u8> {
    let body = std::str::from_utf8(body).unwrap();
    let (_, text) = body.split_once("\"content\":").unwrap();
    let text = text.strip_suffix("}]}").unwrap();
    format!(
        "{{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\
         \"content\":[{{\"type\":\"text\",\"text\":{text}}}],\"stop_reason\":\"end_turn\",\
         \"usage\":{{\"input_tokens\":1,\"output_tokens\":1}}}}"
    )
    .into_bytes()
}

/// Megabytes per second of processor time.
fn speed(bytes: usize, mut work: impl FnMut() -> usize) -> f64 {
    black_box(work());
    // To look at the clock takes a microsecond or more, as long as a short body.
    let batch = u32::try_from((1_usize << 20) / bytes).unwrap().max(4);
    let (began, mut rounds) = (spent(), 0_u32);
    loop {
        for _ in 0..batch {
            black_box(work());
        }
        rounds = rounds.saturating_add(batch);
        let took = spent().saturating_sub(began);
        if took >= FOR {
            let bytes = f64::from(u32::try_from(bytes).unwrap()) * f64::from(rounds);
            return bytes / took.as_secs_f64() / 1e6;
        }
    }
}

/// Processor time of this thread.
fn spent() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}
