//! Pictures by their first bytes: what they are and how large.

/// What a picture is, such as `PNG 640×480, 1234 bytes`; nothing when the bytes are none.
pub(super) fn named(bytes: &[u8]) -> Option<String> {
    let (name, size) = match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', ..] => ("PNG", png(bytes)),
        [b'G', b'I', b'F', b'8', ..] => ("GIF", gif(bytes)),
        [0xff, 0xd8, 0xff, ..] => ("JPEG", jpeg(bytes)),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => ("WebP", None),
        [b'%', b'P', b'D', b'F', b'-', ..] => ("PDF", None),
        _ => return None,
    };
    let size = size.map(|(width, height)| format!(" {width}×{height}")).unwrap_or_default();
    Some(format!("{name}{size}, {} bytes", bytes.len()))
}

fn two(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn png(bytes: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    Some((number(16)?, number(20)?))
}

fn gif(bytes: &[u8]) -> Option<(u32, u32)> {
    let number =
        |at: usize| Some(u32::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)));
    Some((number(6)?, number(8)?))
}

/// The size stands in the segment that begins a frame.
fn jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    for _ in 0..64 {
        let [0xff, kind] = bytes.get(at..at + 2)? else { return None };
        let is_frame = matches!(kind, 0xc0..=0xcf) && !matches!(kind, 0xc4 | 0xc8 | 0xcc);
        if is_frame {
            return Some((u32::from(two(bytes, at + 7)?), u32::from(two(bytes, at + 5)?)));
        }
        at = at.checked_add(2 + usize::from(two(bytes, at + 2)?))?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn sizes_are_read_and_halves_are_no_fault() {
        let gif = named(b"GIF89a\x0a\x00\x14\x00;").unwrap();
        assert_eq!(gif, "GIF 10×20, 11 bytes");
        let jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x11\x08\0\x20\0\x40\x03";
        assert_eq!(named(jpeg).unwrap(), "JPEG 64×32, 18 bytes");
        for cut in 4..jpeg.len() {
            assert!(named(&jpeg[..cut]).is_some());
        }
        assert_eq!(named(b"\x89PNG\r\n"), Some("PNG, 6 bytes".to_owned()));
        assert_eq!(named(b"hello"), None);
    }
}
