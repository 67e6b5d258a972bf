//! A scriptable model server: Anthropic, OpenAI, Gemini, Ollama, Cohere and Bedrock, as they speak.
//!
//! It stands in for a real provider in tests, demonstrations and benchmarks: same paths, same
//! JSON, same event streams, and on demand every way an upstream can fail. Without a script it
//! answers every conversation with `Hello, how can I help?`, and embeddings, rankings, files,
//! batches, images and sound with something small. Nothing in it depends on time or chance, so the
//! same requests always get the same bytes.
//!
//! Invariant: it knows no other crate of the workspace; a mistake in our reading of a wire format
//! must not be able to hide behind the same mistake here.

mod ask;
mod beside;
mod cast;
mod content;
mod control;
mod dialect;
mod play;
mod record;
mod route;
mod script;
mod server;
mod socket;
mod strict;
mod tasks;

pub use cast::{CAST, cast};
pub use record::Recorded;
pub use script::{
    Block, ErrorText, Fault, Reply, Rule, Script, ScriptError, StreamError, Thinking, ToolUse,
    Usage, When,
};
pub use server::Mock;
pub use strict::{CachePrices, CacheReport, PromptCache};

/// A complete, commented script in TOML: what `--script FILE` accepts.
pub const EXAMPLE: &str = include_str!("../example.toml");
