//! Headers as HTTP/2 packs them (RFC 7541), read in the order in which they were sent.

use std::collections::VecDeque;

use super::huffman;

/// Limit: bytes of the table that a peer may fill, counted as the standard counts them.
const TABLE_BYTES_MAX: usize = 1 << 20;
/// Limit: bytes of the fields of one block; few packed bytes can name long ones many times.
const FIELDS_BYTES_MAX: usize = 1 << 20;
/// What an entry weighs beside its text.
const ENTRY_BYTES: usize = 32;

/// The fields that both sides know from the beginning.
const STATIC: &[(&str, &str)] = &[
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// A field: name and value.
pub(super) type Field = (String, String);

/// What one side of a connection has said so far. Every block must be read, in order: each may
/// name fields of those before it.
#[derive(Debug)]
pub struct Hpack {
    table: VecDeque<Field>,
    bytes: usize,
    room: usize,
    is_lost: bool,
}

impl Default for Hpack {
    fn default() -> Self {
        Self { table: VecDeque::new(), bytes: 0, room: 4096, is_lost: false }
    }
}

impl Hpack {
    /// Reads a block; nothing when it is none, and from then on for every other.
    pub fn read(&mut self, block: &[u8]) -> Option<Vec<Field>> {
        if self.is_lost {
            return None;
        }
        let fields = self.fields(block);
        self.is_lost = fields.is_none();
        fields
    }

    fn fields(&mut self, mut rest: &[u8]) -> Option<Vec<Field>> {
        let (mut fields, mut bytes) = (Vec::new(), 0_usize);
        while let Some(first) = rest.first().copied() {
            if first & 0xe0 == 0x20 {
                let room = number(&mut rest, 5)?;
                if room > TABLE_BYTES_MAX {
                    return None;
                }
                self.room = room;
                self.trim();
                continue;
            }
            let field = match first {
                0x80.. => {
                    let place = number(&mut rest, 7)?;
                    self.known(place)?
                }
                0x40.. => {
                    let field = self.literal(&mut rest, 6)?;
                    self.keep(field.clone());
                    field
                }
                // Without a place in the table: as it likes, or never.
                _ => self.literal(&mut rest, 4)?,
            };
            bytes = bytes.saturating_add(field.0.len() + field.1.len() + ENTRY_BYTES);
            if bytes > FIELDS_BYTES_MAX {
                return None;
            }
            fields.push(field);
        }
        Some(fields)
    }

    fn literal(&self, rest: &mut &[u8], bits: u8) -> Option<Field> {
        let place = number(rest, bits)?;
        let name = if place == 0 { text(rest)? } else { self.known(place)?.0 };
        Some((name, text(rest)?))
    }

    fn known(&self, place: usize) -> Option<Field> {
        let place = place.checked_sub(1)?;
        match STATIC.get(place) {
            Some((name, value)) => Some(((*name).to_owned(), (*value).to_owned())),
            None => self.table.get(place - STATIC.len()).cloned(),
        }
    }

    fn keep(&mut self, field: Field) {
        self.bytes = self.bytes.saturating_add(field.0.len() + field.1.len() + ENTRY_BYTES);
        self.table.push_front(field);
        self.trim();
    }

    fn trim(&mut self) {
        while self.bytes > self.room
            && let Some((name, value)) = self.table.pop_back()
        {
            self.bytes = self.bytes.saturating_sub(name.len() + value.len() + ENTRY_BYTES);
        }
    }
}

/// A number whose first byte shares its place with flags.
fn number(rest: &mut &[u8], bits: u8) -> Option<usize> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    let full = (1_usize << bits) - 1;
    let mut value = usize::from(*first) & full;
    if value < full {
        return Some(value);
    }
    for shift in [0_u32, 7, 14, 21] {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value = value.checked_add((usize::from(*byte) & 0x7f) << shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let is_packed = rest.first()? & 0x80 != 0;
    let length = number(rest, 7)?;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    let bytes = if is_packed { huffman::unpack(bytes)? } else { bytes.to_vec() };
    // A line end in a field would look like another field.
    let text = String::from_utf8_lossy(&bytes);
    Some(text.chars().map(|c| if matches!(c, '\r' | '\n' | '\0') { ' ' } else { c }).collect())
}

#[cfg(test)]
mod tests {
    use super::Hpack;

    fn read(hpack: &mut Hpack, block: &[u8]) -> Vec<String> {
        let fields = hpack.read(block).unwrap();
        fields.iter().map(|(name, value)| format!("{name}: {value}")).collect()
    }

    #[test]
    fn the_requests_of_the_standard_are_read_one_after_the_other() {
        // RFC 7541, C.4: with the code, and with what the requests before put into the table.
        let mut hpack = Hpack::default();
        let first = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        let base = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
        assert_eq!(read(&mut hpack, first), base);
        let second = b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf";
        assert_eq!(read(&mut hpack, second)[4], "cache-control: no-cache");
        let third = b"\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\
              \x49\xe9\x5b\xb8\xe8\xb4\xbf";
        let read = read(&mut hpack, third);
        assert_eq!(read[3..], [":authority: www.example.com", "custom-key: custom-value"]);
    }

    #[test]
    fn a_small_table_forgets_and_a_broken_block_ends_it() {
        let mut hpack = Hpack::default();
        // No room at all, then a field that would be kept, then a place that is empty.
        assert_eq!(read(&mut hpack, b"\x20\x40\x01a\x01b"), ["a: b"]);
        assert_eq!(hpack.read(b"\xbe"), None);
        assert_eq!(hpack.read(b"\x82"), None, "what follows cannot be trusted");
        for broken in
            [&b"\x80"[..], b"\xff\xff\xff\xff\xff\xff", b"\x40\x05ab", b"\x3f\xff\xff\xff\x7f"]
        {
            assert_eq!(Hpack::default().read(broken), None, "{broken:?}");
        }
        assert_eq!(read(&mut Hpack::default(), b"\x00\x01a\x03b\r\n"), ["a: b  "]);
    }
}
