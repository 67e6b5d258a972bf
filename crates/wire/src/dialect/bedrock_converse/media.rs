//! Pictures, documents and recordings, which the API tells apart by short names of their formats.

use std::borrow::Cow;

use crate::dialect::body::quoted;
use crate::dialect::fields::Fields;
use crate::dialect::show;
use crate::prompt::{Block, Media, Source};

/// The formats of documents and their media types.
const DOCUMENTS: [(&str, &str); 9] = [
    ("pdf", "application/pdf"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("html", "text/html"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
];

/// The formats of pictures.
const IMAGES: [&str; 4] = ["png", "jpeg", "gif", "webp"];

/// The formats of recordings.
const AUDIO: [&str; 14] = [
    "mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg",
    "mpga", "webm",
];

/// What a document is called that has no name: the API wants one.
const DOCUMENT_NAME: &str = "document";

/// Reads what stands under `image`, `document` or `audio`.
pub(super) fn read(kind: &str, inner: &Fields<'_>) -> Option<Block> {
    let format = inner.string("format");
    let source = Fields::read(inner.find("source")?)?;
    let source = if let Some(data) = source.string("bytes") {
        let media_type = match (kind, format.as_deref()) {
            ("document", Some(format)) => {
                let known = DOCUMENTS.iter().find(|(name, _)| *name == format);
                known.map_or(format, |(_, media_type)| media_type).to_owned()
            }
            (_, Some(format)) => format!("{kind}/{format}"),
            (_, None) => String::new(),
        };
        Source::Data { media_type: media_type.into(), data: data.as_ref().into() }
    } else if let Some(text) = source.string("text") {
        Source::Text(text.as_ref().into())
    } else {
        let place = source.find("s3Location").and_then(Fields::read)?;
        Source::File(place.string("uri")?.as_ref().into())
    };
    let name = inner.string("name").map(Cow::into_owned);
    let media = Media { source, name };
    match kind {
        "image" => Some(Block::Image(media)),
        "document" => Some(Block::Document(media)),
        "audio" => Some(Block::Audio(media)),
        _ => None,
    }
}

/// Writes a picture, document or recording as a block; `None` where the API has no form for it,
/// such as one at an address: it fetches nothing.
pub(super) fn write(block: &Block) -> Option<String> {
    let (kind, media) = match block {
        Block::Image(media) => ("image", media),
        Block::Document(media) => ("document", media),
        Block::Audio(media) => ("audio", media),
        _ => return None,
    };
    let (format, source) = match &media.source {
        Source::Data { media_type, data } => {
            (format(kind, media_type)?, format!(r#"{{"bytes":{}}}"#, quoted(data)))
        }
        Source::Text(text) if kind == "document" => {
            ("txt", format!(r#"{{"text":{}}}"#, quoted(text)))
        }
        Source::Text(_) | Source::Url(_) | Source::File(_) => return None,
    };
    let inner = show::object(|inner| {
        inner.string("format", format);
        if kind == "document" {
            inner.string("name", &name(media.name.as_deref().unwrap_or_default()));
        }
        inner.raw("source", &source);
    });
    Some(format!(r#"{{"{kind}":{inner}}}"#))
}

fn format<'a>(kind: &str, media_type: &'a str) -> Option<&'a str> {
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    match kind {
        "document" => {
            DOCUMENTS.iter().find(|(_, known)| *known == media_type).map(|(name, _)| *name)
        }
        "image" => {
            let name = media_type.strip_prefix("image/")?;
            let name = if name == "jpg" { "jpeg" } else { name };
            IMAGES.into_iter().find(|known| *known == name)
        }
        _ => {
            let name = media_type.strip_prefix("audio/")?;
            let name = if matches!(name, "x-wav" | "wave") { "wav" } else { name };
            AUDIO.into_iter().find(|known| *known == name)
        }
    }
}

/// A document's name as the API takes it: letters, digits, hyphens, brackets and single blanks.
fn name(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        match c {
            _ if c.is_ascii_alphanumeric() || matches!(c, '-' | '(' | ')' | '[' | ']') => {
                out.push(c);
            }
            _ if out.is_empty() || out.ends_with(' ') => {}
            _ => out.push(' '),
        }
    }
    let out = out.trim_end();
    if out.is_empty() { DOCUMENT_NAME.to_owned() } else { out.to_owned() }
}
