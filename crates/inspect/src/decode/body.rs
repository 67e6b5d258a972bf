//! A body for people: unpacked, its JSON set out, forms and parts listed, pictures named.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

use super::picture;
use crate::capture::{Exchange, unpacked};
use crate::http::{Framing, Head, Side, Unpacker};

/// Limit: bytes of a body that are set out for people.
const SHOWN_MAX: usize = 1 << 20;
/// Limit: parts or fields that are listed.
const PARTS_MAX: usize = 1_000;
/// From how many characters on a text of base64 is one that nobody reads.
const BASE64_LONG: usize = 200;

/// A body, read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Body {
    /// `empty`, `json`, `form`, `parts`, `picture`, `text` or `bytes`.
    pub kind: &'static str,
    /// How it was packed, as its head says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packed: Option<String>,
    /// Bytes on the way, framing left out.
    pub sent_bytes: u64,
    /// Bytes once it was unpacked.
    pub bytes: u64,
    /// It as people read it.
    pub text: String,
    /// Header lines behind it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trailers: Vec<(String, String)>,
    /// Why it is not all here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

/// Reads the body of one side.
#[must_use]
pub fn body(exchange: &Exchange, side: Side) -> Body {
    let (head, framing, raw, is_whole) = match side {
        Side::Ask => {
            let raw = exchange.ask_raw();
            (exchange.ask.as_ref(), exchange.ask_framing, raw, exchange.asked.is_whole())
        }
        Side::Answer => {
            let raw = exchange.answer_raw();
            (exchange.answer.as_ref(), exchange.answer_framing, raw, exchange.answered.is_whole())
        }
    };
    let mut body = read(head, framing, raw, is_whole);
    if side == Side::Answer {
        body.trailers.extend(exchange.trailers.iter().cloned());
    }
    body
}

fn read(head: Option<&Head>, framing: Framing, raw: &[u8], is_whole: bool) -> Body {
    let payload = framing.payload(raw);
    let sent_bytes = payload.len() as u64;
    let said = head.and_then(|head| head.header("content-encoding"));
    let is_known = head.is_some_and(|head| Unpacker::of(head).is_some());
    let (bytes, mut broken) = unpacked(head, payload);
    let packed = said.filter(|said| !matches!(*said, "" | "identity")).map(ToOwned::to_owned);
    if let Some(packed) = packed.as_ref().filter(|_| !is_known) {
        broken = Some(format!("`{packed}` is a packing that is not known here"));
    }
    if !is_whole {
        broken = broken.or_else(|| Some("it was too long to be kept whole".to_owned()));
    }
    let media = head.map(Head::media_type).unwrap_or_default();
    let boundary = head.and_then(boundary);
    let (kind, text) = match (bytes.is_empty(), packed.is_some() && !is_known) {
        (true, _) => ("empty", String::new()),
        (_, true) => ("bytes", hex(&bytes)),
        _ => set_out(&media, boundary.as_deref(), &bytes),
    };
    let trailers = framing.trailers(raw);
    Body { kind, packed, sent_bytes, bytes: bytes.len() as u64, text, trailers, broken }
}

fn set_out(media: &str, boundary: Option<&str>, bytes: &[u8]) -> (&'static str, String) {
    if let Some(boundary) = boundary.filter(|_| media.starts_with("multipart/")) {
        return ("parts", parts(bytes, boundary));
    }
    if let Some(text) = picture::named(bytes) {
        return ("picture", text);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return ("bytes", hex(bytes)) };
    if media == "application/x-www-form-urlencoded" {
        return ("form", form(text));
    }
    if bytes.len() <= SHOWN_MAX
        && matches!(text.trim_start().get(..1), Some("{" | "["))
        && let Ok(mut value) = serde_json::from_str::<Value>(text)
    {
        shorten(&mut value);
        return ("json", serde_json::to_string_pretty(&value).unwrap_or_default());
    }
    ("text", short(text))
}

fn short(text: &str) -> String {
    let mut end = SHOWN_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let shown = text.get(..end).unwrap_or_default();
    let rest = text.len() - end;
    if rest == 0 { shown.to_owned() } else { format!("{shown}\n… {rest} bytes more") }
}

/// The first bytes as numbers and as text.
fn hex(bytes: &[u8]) -> String {
    const ROWS: usize = 256;
    let mut lines = Vec::new();
    for (place, row) in bytes.chunks(16).take(ROWS).enumerate() {
        let numbers: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        let is_shown = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        let text: String =
            row.iter().map(|byte| if is_shown(*byte) { char::from(*byte) } else { '.' }).collect();
        lines.push(format!("{:06x}  {:<47}  {text}", place * 16, numbers.join(" ")));
    }
    let rest = bytes.len().saturating_sub(ROWS * 16);
    if rest > 0 {
        lines.push(format!("… {rest} bytes more"));
    }
    lines.join("\n")
}

fn form(text: &str) -> String {
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).take(PARTS_MAX);
    let lines = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        format!("{} = {}", plain(name), plain(value))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A text without the escapes of forms.
fn plain(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _) => out.push(b' '),
            (other, _) => out.push(*other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn boundary(head: &Head) -> Option<String> {
    let value = head.header("content-type")?;
    let found = value.split(';').skip(1).find_map(|word| {
        let (name, value) = word.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    });
    found.filter(|text| !text.is_empty()).map(ToOwned::to_owned)
}

/// The parts of a body of several, each with what it is and a little of what it says.
fn parts(bytes: &[u8], boundary: &str) -> String {
    let mark = format!("--{boundary}");
    let mut lines = Vec::new();
    for (place, part) in split(bytes, mark.as_bytes()).into_iter().take(PARTS_MAX).enumerate() {
        let end = find(part, b"\r\n\r\n").unwrap_or(part.len());
        let head = String::from_utf8_lossy(part.get(..end).unwrap_or_default()).into_owned();
        let inside = part.get(end + 4..).unwrap_or_default();
        let header = |name: &str| {
            let mut pairs = head.lines().filter_map(|line| line.split_once(':'));
            pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, v)| v.trim())
        };
        let about = header("content-disposition").unwrap_or_default();
        let named = |name: &str| {
            let found = about.split(';').find_map(|word| {
                word.trim().strip_prefix(name)?.strip_prefix('=').map(|v| v.trim_matches('"'))
            });
            found.map(ToOwned::to_owned)
        };
        let mut line = format!("part {}: {}", place + 1, named("name").unwrap_or_default());
        if let Some(file) = named("filename") {
            line.push_str(&format!(", file `{file}`"));
        }
        if let Some(kind) = header("content-type") {
            line.push_str(&format!(", {kind}"));
        }
        line.push_str(&format!(", {} bytes", inside.len()));
        lines.push(line);
        let shown = match (picture::named(inside), std::str::from_utf8(inside)) {
            (Some(picture), _) => picture,
            (None, Ok(text)) => text.chars().take(2_000).collect(),
            (None, Err(_)) => hex(inside.get(..64).unwrap_or(inside)),
        };
        lines.extend(shown.lines().map(|line| format!("    {line}")));
    }
    lines.join("\n")
}

/// What stands between the marks.
fn split<'a>(bytes: &'a [u8], mark: &[u8]) -> Vec<&'a [u8]> {
    let mut all = Vec::new();
    let mut rest = bytes;
    while let Some(place) = find(rest, mark) {
        let after = rest.get(place + mark.len()..).unwrap_or_default();
        if after.starts_with(b"--") {
            break;
        }
        let after = after.strip_prefix(b"\r\n").unwrap_or(after);
        let end = find(after, mark).unwrap_or(after.len());
        let part = after.get(..end).unwrap_or_default();
        all.push(part.strip_suffix(b"\r\n").unwrap_or(part));
        rest = after.get(end..).unwrap_or_default();
    }
    all
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len().max(1)).position(|window| window == needle)
}

/// Puts what a picture is in the place of its base64.
fn shorten(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(short) = short_base64(text) {
                *text = short;
            }
        }
        Value::Array(all) => all.iter_mut().for_each(shorten),
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        _ => {}
    }
}

fn short_base64(text: &str) -> Option<String> {
    if text.len() < BASE64_LONG {
        return None;
    }
    let (before, data) =
        match text.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
            Some((kind, data)) => (format!("data:{kind};base64, "), data),
            None => (String::new(), text),
        };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_');
    let start: String = data.chars().take(1_024).collect();
    if !start.chars().all(fits) {
        return None;
    }
    // A beginning is enough to know a picture by.
    let whole = start.get(..start.len() / 4 * 4).unwrap_or_default();
    let bytes = STANDARD.decode(whole.trim_end_matches('=')).or_else(|_| {
        base64::engine::general_purpose::STANDARD_NO_PAD.decode(whole.trim_end_matches('='))
    });
    let named = bytes.ok().and_then(|bytes| picture::named(&bytes));
    // A long word may be anything; only what is a picture, or says so, is put away.
    let what = named.or_else(|| (!before.is_empty()).then(|| "bytes".to_owned()))?;
    Some(format!("[{before}{what}, {} characters of base64]", data.len()))
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::http::{Framing, Head, Side};

    fn body(kind: &str, bytes: &[u8]) -> super::Body {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n");
        let head = Head::read(head.as_bytes(), Side::Answer).unwrap().unwrap();
        read(Some(&head), Framing::Close, bytes, true)
    }

    #[test]
    fn forms_and_parts_are_listed() {
        let form = body("application/x-www-form-urlencoded", b"a=1+2&b=%C3%A4%zz&c");
        assert_eq!((form.kind, form.text.as_str()), ("form", "a = 1 2\nb = ä%zz\nc = "));
        let bytes = b"--X\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\
                      Content-Type: text/plain\r\n\r\nhello\r\n--X\r\n\
                      Content-Disposition: form-data; name=\"n\"\r\n\r\n7\r\n--X--\r\n";
        let parts = body("multipart/form-data; boundary=\"X\"", bytes);
        assert_eq!(parts.kind, "parts");
        assert_eq!(
            parts.text,
            "part 1: file, file `a.txt`, text/plain, 5 bytes\n    hello\n\
             part 2: n, 1 bytes\n    7"
        );
        assert_eq!(body("multipart/form-data; boundary=Y", bytes).text, "");
    }

    #[test]
    fn pictures_in_json_are_named_and_words_are_left_alone() {
        use base64::Engine as _;
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x06".to_vec();
        png.extend([0; 300]);
        let data = base64::engine::general_purpose::STANDARD.encode(&png);
        let word = "a".repeat(400);
        let json = format!("{{\"data\":\"{data}\",\"word\":\"{word}\"}}");
        let shown = body("application/json", json.as_bytes());
        assert_eq!(shown.kind, "json");
        assert!(shown.text.contains("[PNG 640×480"), "{}", shown.text);
        assert!(shown.text.contains(&word));
        assert_eq!(body("image/png", &png).kind, "picture");
    }

    #[test]
    fn what_is_neither_is_shown_as_it_is() {
        assert_eq!(body("application/json", b"{broken").kind, "text");
        let bytes = body("application/octet-stream", b"\xff\x00a");
        assert_eq!((bytes.kind, bytes.text.contains("ff 00 61")), ("bytes", true));
        assert_eq!(body("text/plain", b"").kind, "empty");
    }
}
