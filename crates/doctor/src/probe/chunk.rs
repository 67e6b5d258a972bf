//! Takes the chunks of an HTTP body apart.

/// What was read of a chunked body.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    /// The bytes without the framing.
    pub(crate) bytes: Vec<u8>,
    /// Whether the last chunk was there.
    pub(crate) is_complete: bool,
    /// What stands where the size of a chunk should.
    pub(crate) fault: Option<String>,
}

/// Reads as much as there is.
pub(crate) fn read(mut rest: &[u8]) -> Chunks {
    let mut read = Chunks::default();
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let line = String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned();
        let digits = line.split(';').next().unwrap_or_default().trim();
        let Ok(size) = usize::from_str_radix(digits, 16) else {
            read.fault = Some(line.chars().take(20).collect());
            return read;
        };
        rest = rest.get(end + 2..).unwrap_or_default();
        if size == 0 {
            read.is_complete = true;
            return read;
        }
        read.bytes.extend_from_slice(rest.get(..size.min(rest.len())).unwrap_or_default());
        let Some(after) = size.checked_add(2).and_then(|next| rest.get(next..)) else {
            return read;
        };
        rest = after;
    }
    read
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn chunks_are_joined_and_their_end_is_seen() {
        let whole = read(b"3\r\nabc\r\n2;x=1\r\nde\r\n0\r\n\r\n");
        assert_eq!((whole.bytes.as_slice(), whole.is_complete), (&b"abcde"[..], true));
        let cut = read(b"3\r\nabc\r\nff\r\nde");
        assert_eq!((cut.bytes.as_slice(), cut.is_complete), (&b"abcde"[..], false));
        assert_eq!(read(b"zz\r\nabc").fault.as_deref(), Some("zz"));
        assert!(read(b"ffffffffffffffff\r\nabc").fault.is_none());
    }
}
