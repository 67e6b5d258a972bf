//! The canonical events of a stream, in the order a model sends them.

use crate::fault::Fault;
use crate::reply::{Reply, Usage};

/// What kind of block begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text for the reader.
    Text,
    /// Reasoning.
    Thinking,
    /// A call of a tool.
    Tool {
        /// The id of the call.
        id: String,
        /// The tool's name.
        name: String,
    },
    /// A block type we do not know.
    Other(String),
}

/// One step of a streamed reply.
#[derive(Debug)]
pub enum Event {
    /// The model began.
    Start {
        /// The provider's id of the reply.
        id: String,
        /// The model that answers.
        model: String,
        /// Usage of the prompt, where the provider already knows it.
        usage: Usage,
    },
    /// A block began.
    Open {
        /// Its place in the reply, from 0.
        index: usize,
        /// What it is.
        part: Part,
    },
    /// A piece of text of a text block.
    Text {
        /// The block.
        index: usize,
        /// The piece.
        text: String,
    },
    /// A piece of reasoning.
    Thinking {
        /// The block.
        index: usize,
        /// The piece.
        text: String,
    },
    /// A piece of a tool call's arguments (JSON text).
    Input {
        /// The block.
        index: usize,
        /// The piece.
        json: String,
    },
    /// A block is complete.
    Close {
        /// The block.
        index: usize,
    },
    /// The upstream is alive and has nothing to say yet.
    Ping,
    /// The reply is complete: always the last event of a good stream.
    Done(Box<Reply>),
    /// The upstream reported an error in mid-stream: always the last event of a bad one.
    Fault(Fault),
}
