//! Where a JSON value ends, found byte by byte, and how deep a body nests.

use super::marks::{BLOCK, Hidden, first};

/// The deepest nesting [`Scan`] follows: one bit of a `u128` each.
///
/// Also the depth at which `serde_json` refuses to read, so both agree on what is too deep.
pub const DEPTH_MAX: u32 = 127;

/// Says whether the arrays and objects of a body nest at most `max` deep.
///
/// Looks at brackets outside of strings only; whether the body is JSON is for the parser to say.
/// One pass, no memory.
///
/// ```
/// assert!(wire::frame::json_depth_ok(br#"{"a":["[[[["]}"#, 2));
/// assert!(!wire::frame::json_depth_ok(b"[[[]]]", 2));
/// ```
#[must_use]
pub fn json_depth_ok(bytes: &[u8], max: usize) -> bool {
    let (mut depth, mut at) = (0_usize, 0_usize);
    while let Some(byte) = bytes.get(at) {
        at = at.saturating_add(1);
        match byte {
            b'"' => {
                let Some(length) = bytes.get(at..).and_then(string_end) else { return true };
                at = at.saturating_add(length);
            }
            b'{' | b'[' => {
                depth = depth.saturating_add(1);
                if depth > max {
                    return false;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

/// How many bytes it is to behind the quote that ends a string, from behind the one that begins it;
/// `None` when it has no end.
pub(crate) fn string_end(bytes: &[u8]) -> Option<usize> {
    // Names of fields are short: most end before a longer look is worth its while.
    let is_mark = |byte: &u8| matches!(byte, b'"' | b'\\');
    let near = bytes.iter().take(NEAR).position(is_mark);
    if let Some(at) = near.filter(|at| bytes.get(*at) == Some(&b'"')) {
        return at.checked_add(1);
    }
    let mut at = near.unwrap_or_else(|| bytes.len().min(NEAR));
    loop {
        at = at.checked_add(memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?)?;
        // Where one mark is there are more; where none is, the next may be far.
        let mut hidden = Hidden::default();
        loop {
            let marks = first(bytes.get(at..)?)?;
            let quotes = marks.quotes & !hidden.of((at, marks.slashes));
            if quotes != 0 {
                let at = at.checked_add(usize::try_from(quotes.trailing_zeros()).ok()?)?;
                return at.checked_add(1);
            }
            at = at.checked_add(BLOCK)?;
            if marks.slashes == 0 {
                break;
            }
        }
    }
}

/// Bytes that are looked at one by one before whole blocks are.
const NEAR: usize = 16;

/// What a byte did to the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The text so far can still become JSON.
    More,
    /// The byte closed the outermost bracket.
    Complete,
    /// With this byte the text can no longer become JSON, or nests too deep.
    Broken,
}

/// What may stand next.
#[derive(Clone, Copy, Debug)]
enum Place {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    /// Inside a string; `true` for the key of an object.
    Text(bool),
    Escape(bool),
    /// So many hexadecimal digits are still to come.
    Hex(bool, u8),
    Number(Digits),
    /// What is still to come of `true`, `false` or `null`.
    Word(&'static [u8]),
}

/// What of a number was seen last.
#[derive(Clone, Copy, Debug)]
enum Digits {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    Exponent,
    Sign,
    Power,
}

/// A strict JSON recogniser for one array or object: constant memory, one look at each byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    place: Place,
    depth: u32,
    /// The open brackets, innermost in the lowest bit; 1 is an object.
    open: u128,
}

impl Scan {
    /// Begins before the opening bracket.
    pub(super) fn new() -> Self {
        Self { place: Place::Value, depth: 0, open: 0 }
    }

    /// Whether the next byte stands inside a string.
    pub(super) fn is_in_string(&self) -> bool {
        matches!(self.place, Place::Text(_) | Place::Escape(_) | Place::Hex(..))
    }

    /// Takes the next byte.
    pub(super) fn step(&mut self, byte: u8) -> Step {
        match self.place {
            Place::Text(key) => self.text(key, byte),
            Place::Escape(key) => self.escape(key, byte),
            Place::Hex(key, left) => self.hex(key, left, byte),
            Place::Number(digits) => match digits.next(byte) {
                Some(next) => self.go(Place::Number(next)),
                None if digits.may_end() => {
                    self.place = Place::CommaOrEnd;
                    self.between(byte)
                }
                None => Step::Broken,
            },
            Place::Word(rest) => match rest.split_first() {
                Some((first, [])) if *first == byte => self.go(Place::CommaOrEnd),
                Some((first, more)) if *first == byte => self.go(Place::Word(more)),
                _ => Step::Broken,
            },
            _ => self.between(byte),
        }
    }

    fn between(&mut self, byte: u8) -> Step {
        match (self.place, byte) {
            (_, b' ' | b'\t' | b'\r' | b'\n') => Step::More,
            (Place::ValueOrEnd | Place::CommaOrEnd, b']') if !self.in_object() => self.close(),
            (Place::KeyOrEnd | Place::CommaOrEnd, b'}') if self.in_object() => self.close(),
            (Place::Key | Place::KeyOrEnd, b'"') => self.go(Place::Text(true)),
            (Place::Colon, b':') => self.go(Place::Value),
            (Place::CommaOrEnd, b',') if self.in_object() => self.go(Place::Key),
            (Place::CommaOrEnd, b',') => self.go(Place::Value),
            (Place::Value | Place::ValueOrEnd, _) => self.value(byte),
            _ => Step::Broken,
        }
    }

    fn value(&mut self, byte: u8) -> Step {
        match byte {
            b'{' => self.open(1, Place::KeyOrEnd),
            b'[' => self.open(0, Place::ValueOrEnd),
            b'"' => self.go(Place::Text(false)),
            b'-' => self.go(Place::Number(Digits::Minus)),
            b'0' => self.go(Place::Number(Digits::Zero)),
            b'1'..=b'9' => self.go(Place::Number(Digits::Whole)),
            b't' => self.go(Place::Word(b"rue")),
            b'f' => self.go(Place::Word(b"alse")),
            b'n' => self.go(Place::Word(b"ull")),
            _ => Step::Broken,
        }
    }

    fn text(&mut self, key: bool, byte: u8) -> Step {
        match byte {
            b'"' => self.go(if key { Place::Colon } else { Place::CommaOrEnd }),
            b'\\' => self.go(Place::Escape(key)),
            0..=0x1f => Step::Broken,
            _ => Step::More,
        }
    }

    fn escape(&mut self, key: bool, byte: u8) -> Step {
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.go(Place::Text(key)),
            b'u' => self.go(Place::Hex(key, 4)),
            _ => Step::Broken,
        }
    }

    fn hex(&mut self, key: bool, left: u8, byte: u8) -> Step {
        if !byte.is_ascii_hexdigit() {
            return Step::Broken;
        }
        match left {
            2.. => self.go(Place::Hex(key, left.saturating_sub(1))),
            _ => self.go(Place::Text(key)),
        }
    }

    fn open(&mut self, bit: u128, place: Place) -> Step {
        if self.depth >= DEPTH_MAX {
            return Step::Broken;
        }
        self.depth = self.depth.saturating_add(1);
        self.open = (self.open << 1_u32) | bit;
        self.go(place)
    }

    fn close(&mut self) -> Step {
        self.depth = self.depth.saturating_sub(1);
        self.open >>= 1_u32;
        self.place = Place::CommaOrEnd;
        if self.depth == 0 { Step::Complete } else { Step::More }
    }

    fn in_object(&self) -> bool {
        self.open & 1 == 1
    }

    fn go(&mut self, place: Place) -> Step {
        self.place = place;
        Step::More
    }
}

impl Digits {
    /// What the byte makes of the number; `None` when it does not belong to it.
    fn next(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Minus, b'0') => Some(Self::Zero),
            (Self::Minus, b'1'..=b'9') | (Self::Whole, b'0'..=b'9') => Some(Self::Whole),
            (Self::Zero | Self::Whole, b'.') => Some(Self::Point),
            (Self::Point | Self::Fraction, b'0'..=b'9') => Some(Self::Fraction),
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Some(Self::Exponent),
            (Self::Exponent, b'+' | b'-') => Some(Self::Sign),
            (Self::Exponent | Self::Sign | Self::Power, b'0'..=b'9') => Some(Self::Power),
            _ => None,
        }
    }

    fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::Power)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, end: Step, at: usize) {
        let mut scan = Scan::new();
        for (i, byte) in text.bytes().enumerate() {
            match scan.step(byte) {
                Step::More => {}
                step => {
                    assert_eq!((step, i), (end, at), "{text}");
                    let valid =
                        serde_json::from_slice::<serde_json::Value>(&text.as_bytes()[..=i]).is_ok();
                    assert_eq!(valid, step == Step::Complete, "{text}");
                    return;
                }
            }
        }
        assert_eq!((Step::More, text.len()), (end, at), "{text}");
    }

    #[test]
    fn a_value_is_complete_at_its_closing_bracket() {
        check("{}{}", Step::Complete, 1);
        check(r#"{"a":[1,-0.5e+3,true,false,null,{"b":"}\"\u00e9\\"}]} x"#, Step::Complete, 52);
        check("[ ] ", Step::Complete, 2);
        check("{\r\n \"a\" : 1\n}", Step::Complete, 12);
    }

    #[test]
    fn a_text_that_cannot_become_json_is_broken_at_the_first_byte_that_says_so() {
        check("{not json}", Step::Broken, 1);
        check("{\"a\":1,}", Step::Broken, 7);
        check("{\"a\" 1}", Step::Broken, 5);
        check("[1 2]", Step::Broken, 3);
        check("[01]", Step::Broken, 2);
        check("[1.]", Step::Broken, 3);
        check("[nul]", Step::Broken, 4);
        check("[}", Step::Broken, 1);
        check("{\"a\":1]", Step::Broken, 6);
        check("[\"a\n", Step::Broken, 3);
        check("[\"\\x", Step::Broken, 3);
        check("[\"\\u00g", Step::Broken, 6);
        check("[\u{e9}]", Step::Broken, 1);
    }

    #[test]
    fn the_depth_limit_is_the_one_of_the_parser() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        check(&deep(127), Step::Complete, 253);
        check(&deep(128), Step::Broken, 127);
        assert!(serde_json::from_str::<serde_json::Value>(&deep(127)).is_ok());
        assert!(serde_json::from_str::<serde_json::Value>(&deep(128)).is_err());
    }

    #[test]
    fn brackets_in_strings_do_not_count_as_depth() {
        assert!(json_depth_ok(br#"{"a":"[[[\"[[["}"#, 1));
        assert!(json_depth_ok(b"[[],[],[]]", 2));
        assert!(!json_depth_ok(b"[[],[[]]]", 2));
        assert!(json_depth_ok(b"", 0));
    }
}
