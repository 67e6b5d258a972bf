//! Numbers and attributes in bytes of the kernel; whatever is cut short is simply not there.

/// The size of an attribute's head: length and kind.
const HEAD: usize = 4;

/// Marks of an attribute's kind: nested, and in network order.
const KIND: u16 = 0x3fff;

/// Rounds up to the four bytes every message and attribute begins at.
pub(crate) fn padded(length: usize) -> usize {
    length.saturating_add(3) & !3
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    part(bytes, at).map(u16::from_ne_bytes)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    part(bytes, at).map(u32::from_ne_bytes)
}

/// A number in network order.
pub(crate) fn be16_at(bytes: &[u8], at: usize) -> Option<u16> {
    part(bytes, at).map(u16::from_be_bytes)
}

/// A number in network order.
pub(crate) fn be32_at(bytes: &[u8], at: usize) -> Option<u32> {
    part(bytes, at).map(u32::from_be_bytes)
}

/// A number in network order.
pub(crate) fn be64_at(bytes: &[u8], at: usize) -> Option<u64> {
    part(bytes, at).map(u64::from_be_bytes)
}

/// A text that ends with a zero byte or with the bytes.
pub(crate) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

/// The attributes in `bytes`: their kind and value.
pub(crate) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & KIND;
        let value = rest.get(HEAD..length)?;
        rest = rest.get(padded(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of the first attribute of a kind.
pub(crate) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(known, _)| *known == kind).map(|(_, value)| value)
}

/// Writes one attribute.
pub(crate) fn write(into: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(HEAD + value.len()).unwrap_or(u16::MAX);
    into.extend(length.to_ne_bytes());
    into.extend(kind.to_ne_bytes());
    into.extend(value);
    into.resize(padded(into.len()), 0);
}

#[cfg(test)]
mod tests {
    use super::{attribute, attributes, be16_at, text, write};

    #[test]
    fn attributes_are_read_as_they_are_written() {
        let mut bytes = Vec::new();
        write(&mut bytes, 1, b"name\0");
        write(&mut bytes, 2, &[0x1f, 0x90]);
        assert_eq!(attribute(&bytes, 1).map(text), Some("name".to_owned()));
        assert_eq!(attribute(&bytes, 2).and_then(|value| be16_at(value, 0)), Some(8080));
        assert_eq!(attributes(&bytes).count(), 2);
        for cut in 0..bytes.len() {
            assert!(attributes(&bytes[..cut]).count() <= 2);
        }
        assert_eq!(attributes(&[0; 64]).count(), 0, "a length of nothing ends it");
    }
}
