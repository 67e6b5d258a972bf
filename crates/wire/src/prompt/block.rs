//! The parts of a message: text, thoughts, calls, results, images, documents and sounds.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::Text;

/// One part of a message.
#[derive(Clone, Debug)]
pub enum Block {
    /// Plain text.
    Text(Text),
    /// The model's reasoning. It goes back only to the model that wrote it, byte for byte.
    Thinking {
        /// The readable part; may be empty.
        text: String,
        /// The provider's signature over it.
        signature: Option<String>,
    },
    /// The model asks for a tool.
    ToolUse {
        /// The id that the result must name.
        id: String,
        /// The tool's name.
        name: String,
        /// The arguments, a JSON object.
        input: Box<RawValue>,
    },
    /// The answer of a tool.
    ToolResult {
        /// The id of the call.
        id: String,
        /// The result as text.
        content: String,
        /// The tool failed.
        is_error: bool,
    },
    /// A picture. One that a tool answered with stands after the tool's result.
    Image(Media),
    /// A document, such as a PDF.
    Document(Media),
    /// A recording.
    Audio(Media),
    /// Anything else: kept in the message's raw form, shown by its type only.
    Other {
        /// The block's `type`.
        kind: String,
    },
}

impl Block {
    /// What the part is called where it is reported as left out.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Text(_) => "text",
            Self::Thinking { .. } => "thinking",
            Self::ToolUse { .. } => "tool_use",
            Self::ToolResult { .. } => "tool_result",
            Self::Image(_) => "image",
            Self::Document(_) => "document",
            Self::Audio(_) => "audio",
            Self::Other { kind } => kind,
        }
    }
}

/// A picture, document or recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// Where the bytes are.
    pub source: Source,
    /// The file's name or the document's title.
    pub name: Option<String>,
}

/// Where the bytes of a [`Media`] are. The texts are shared: a clone copies none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Here, in Base64.
    Data {
        /// Such as `image/png`; empty when nobody said.
        media_type: Arc<str>,
        /// Standard Base64, as it came.
        data: Arc<str>,
    },
    /// Here, as plain text.
    Text(Arc<str>),
    /// At an address that the provider fetches.
    Url(Arc<str>),
    /// In the provider's own store, under this id. No other provider knows it.
    File(Arc<str>),
}

impl Source {
    /// Reads an address: a `data:` URL with Base64 becomes [`Source::Data`].
    #[must_use]
    pub fn from_url(url: &str) -> Self {
        let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
        match inline {
            Some((media_type, data)) => {
                // Parameters such as `;charset=` say nothing about Base64.
                let media_type = media_type.split(';').next().unwrap_or_default();
                Self::Data { media_type: media_type.into(), data: data.into() }
            }
            None => Self::Url(url.into()),
        }
    }

    /// The address, a `data:` URL for bytes that are here; `None` for text and stored files.
    #[must_use]
    pub fn to_url(&self) -> Option<String> {
        match self {
            Self::Data { media_type, data } => Some(format!("data:{media_type};base64,{data}")),
            Self::Url(url) => Some(url.to_string()),
            Self::Text(_) | Self::File(_) => None,
        }
    }

    /// The media type, as far as it is known from the source itself.
    #[must_use]
    pub fn media_type(&self) -> Option<&str> {
        match self {
            Self::Data { media_type, .. } => Some(&**media_type).filter(|text| !text.is_empty()),
            Self::Text(_) => Some("text/plain"),
            Self::Url(_) | Self::File(_) => None,
        }
    }
}
