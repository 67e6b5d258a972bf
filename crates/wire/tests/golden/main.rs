//! Golden cases and laws of the dialects and frames.
//!
//! `prompts/CASE.json` is a prompt; `DIALECT/CASE.request.snap` is what each dialect writes of it.
//! `DIALECT/CASE.json` and `CASE.sse` (or `.rows`, `.frames`) are replies, whole and streamed;
//! `CASE.whole.snap` and `CASE.stream.snap` are what is read of them, and how the message is
//! written back in each dialect. `DIALECT/CASE.ask` is a caller's request; `CASE.ask.snap` is what
//! is read of it, and how each dialect sends it on. A new case is a new file; `cargo insta
//! review` takes what it gives.

#[cfg(test)]
mod asks;
#[cfg(test)]
mod callers;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod prompts;
#[cfg(test)]
mod replies;
#[cfg(test)]
mod show;
#[cfg(test)]
mod shown;
#[cfg(test)]
mod versions;

/// A request as it comes in.
#[cfg(test)]
fn sent(body: impl AsRef<[u8]>) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(body.as_ref())
}
