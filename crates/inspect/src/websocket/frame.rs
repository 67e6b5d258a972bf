//! One frame: where it ends, what it carries, and how it is written.

/// More of the message before.
pub(crate) const MORE: u8 = 0;
/// A message of text.
pub(crate) const TEXT: u8 = 1;
/// A message of bytes.
pub(crate) const BINARY: u8 = 2;
/// The end of the connection: a code and a reason.
pub(crate) const CLOSE: u8 = 8;
/// Whether the other side is there.
pub(crate) const PING: u8 = 9;
/// It is.
pub(crate) const PONG: u8 = 10;

const LAST: u8 = 0x80;
const PACKED: u8 = 0x40;
const MASKED: u8 = 0x80;

/// A frame, unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its message ends with it.
    pub(crate) is_last: bool,
    /// Its message is packed.
    pub(crate) is_packed: bool,
    /// What it is.
    pub(crate) kind: u8,
    pub(crate) payload: Vec<u8>,
}

/// How long the frame is that begins here; nothing when its head is not complete.
pub(crate) fn whole(bytes: &[u8]) -> Option<usize> {
    let second = *bytes.get(1)?;
    let mask = if second & MASKED != 0 { 4 } else { 0 };
    let (head, length) = match second & 0x7f {
        126 => (4, u64::from(u16::from_be_bytes(array(bytes, 2)?))),
        127 => (10, u64::from_be_bytes(array(bytes, 2)?)),
        short => (2, u64::from(short)),
    };
    usize::try_from(length).ok()?.checked_add(head + mask)
}

/// Reads a whole frame.
pub(crate) fn read(frame: &[u8]) -> Option<Frame> {
    let (first, second) = (*frame.first()?, *frame.get(1)?);
    let head = match second & 0x7f {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    let payload = if second & MASKED == 0 {
        frame.get(head..)?.to_vec()
    } else {
        let mask: [u8; 4] = array(frame, head)?;
        let masked = frame.get(head + 4..)?;
        masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
    };
    Some(Frame {
        is_last: first & LAST != 0,
        is_packed: first & PACKED != 0,
        kind: first & 0x0f,
        payload,
    })
}

/// A message as one frame. A caller's is masked, as the standard demands; with zeros, so that it
/// can be read where it is kept.
pub(crate) fn write(kind: u8, payload: &[u8], from_caller: bool) -> Vec<u8> {
    let mask = if from_caller { MASKED } else { 0 };
    let mut frame = vec![LAST | kind];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..126), _) => frame.push(mask | length),
        (_, Ok(length)) => {
            frame.push(mask | 126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            frame.push(mask | 127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    if from_caller {
        frame.extend_from_slice(&[0; 4]);
    }
    frame.extend_from_slice(payload);
    frame
}

fn array<const N: usize>(bytes: &[u8], from: usize) -> Option<[u8; N]> {
    bytes.get(from..from.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::{Frame, TEXT, read, whole, write};

    #[test]
    fn what_is_written_is_read_at_every_length() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            for from_caller in [false, true] {
                let payload = vec![b'x'; length];
                let mut bytes = write(TEXT, &payload, from_caller);
                assert_eq!(whole(&bytes), Some(bytes.len()), "{length}");
                let frame = Frame { is_last: true, is_packed: false, kind: TEXT, payload };
                assert_eq!(read(&bytes), Some(frame));
                bytes.truncate(1);
                assert_eq!(whole(&bytes), None);
            }
        }
    }

    #[test]
    fn a_mask_is_taken_off() {
        let frame = [0x81, 0x85, 1, 2, 3, 4, b'h' ^ 1, b'e' ^ 2, b'l' ^ 3, b'l' ^ 4, b'o' ^ 1];
        assert_eq!(read(&frame).unwrap().payload, b"hello");
        assert_eq!(read(&frame[..5]), None);
    }
}
