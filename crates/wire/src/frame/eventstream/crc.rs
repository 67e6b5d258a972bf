//! The checksum of frames: CRC-32 as zlib has it.

/// The polynomial, lowest bit first.
const POLYNOMIAL: u32 = 0xedb8_8320;

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte: u32 = 0;
    while byte < 256 {
        let mut rest = byte;
        let mut bit = 0;
        while bit < 8 {
            rest = if rest & 1 == 1 { (rest >> 1_u32) ^ POLYNOMIAL } else { rest >> 1_u32 };
            bit = add(bit);
        }
        put(&mut table, byte, rest);
        byte = add(byte);
    }
    table
}

const fn add(n: u32) -> u32 {
    n.saturating_add(1)
}

#[expect(clippy::indexing_slicing, reason = "a place beyond the table does not compile")]
const fn put(table: &mut [u32; 256], byte: u32, value: u32) {
    table[byte as usize] = value;
}

/// The checksum of some bytes.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        let [low, ..] = crc.to_le_bytes();
        let place = usize::from(low ^ byte);
        (crc >> 8_u32) ^ TABLE.get(place).copied().unwrap_or_default()
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_zlib() {
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(&[0xff; 32]), 0xff6c_ab0b);
    }
}
