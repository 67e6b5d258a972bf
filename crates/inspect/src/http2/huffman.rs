//! The code in which HPACK packs text (RFC 7541, appendix B).
//!
//! The code is canonical: the lengths alone say what each symbol's bits are.

use std::sync::LazyLock;

/// How many bits each byte takes.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];
/// The longest code of a byte; the end of a text has one of 30 bits, which never stands in it.
const LONGEST: u8 = 30;

/// All symbols of one length: their first code, and themselves in the order of their codes.
struct Group {
    length: u8,
    first: u32,
    symbols: Vec<u8>,
}

static GROUPS: LazyLock<Vec<Group>> = LazyLock::new(|| {
    let mut groups = Vec::new();
    let mut code = 0_u32;
    for length in 1..=LONGEST {
        code <<= 1;
        let symbols: Vec<u8> =
            (0..=255_u8).filter(|byte| LENGTHS.get(usize::from(*byte)) == Some(&length)).collect();
        let count = u32::try_from(symbols.len()).unwrap_or(0);
        if count > 0 {
            groups.push(Group { length, first: code, symbols });
        }
        code += count;
    }
    groups
});

/// The text of packed bytes; nothing when they are none.
pub(super) fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(packed.len() * 8 / 5);
    let (mut code, mut length) = (0_u32, 0_u8);
    for byte in packed {
        for place in (0..8).rev() {
            code = code << 1 | u32::from(byte >> place & 1);
            length += 1;
            let group = GROUPS.iter().find(|group| group.length == length);
            let symbol = group.and_then(|group| {
                let place = usize::try_from(code.checked_sub(group.first)?).ok()?;
                group.symbols.get(place)
            });
            if let Some(symbol) = symbol {
                out.push(*symbol);
                (code, length) = (0, 0);
            } else if length >= LONGEST {
                return None;
            }
        }
    }
    // The last byte is filled with ones, less than a byte of them.
    let is_filled = length < 8 && code == (1 << length) - 1;
    is_filled.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::unpack;

    #[test]
    fn the_examples_of_the_standard_are_read() {
        let check = |packed: &[u8], text: &str| {
            assert_eq!(unpack(packed).unwrap(), text.as_bytes(), "{text}");
        };
        check(b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff", "www.example.com");
        check(b"\xa8\xeb\x10\x64\x9c\xbf", "no-cache");
        check(
            b"\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\
              \xe0\x82\xa6\x2d\x1b\xff",
            "Mon, 21 Oct 2013 20:13:21 GMT",
        );
        check(
            b"\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3",
            "https://www.example.com",
        );
        assert_eq!(unpack(b"\xff\xff\xff\xff"), None, "a whole byte of filling");
        assert_eq!(unpack(b"\xf1\x00"), None, "filled with zeros");
    }
}
