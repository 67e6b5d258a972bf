//! Keys in the query of an address.

/// The address with one more parameter, percent-encoded.
pub(super) fn with_query(mut address: String, name: &str, value: &str) -> String {
    if value.trim().is_empty() {
        return address;
    }
    address.push(if address.contains('?') { '&' } else { '?' });
    encode(name, &mut address);
    address.push('=');
    encode(value.trim(), &mut address);
    address
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
pub(super) fn encode(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
            continue;
        }
        out.push('%');
        for half in [byte >> 4, byte & 15] {
            out.push(HEX.get(usize::from(half)).map_or('0', |hex| char::from(*hex)));
        }
    }
}
