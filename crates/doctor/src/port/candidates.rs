//! Ranks the ports that may have been meant by a text that is no port.

/// Limit: how many candidates are worth showing and probing.
const CANDIDATES_MAX: usize = 8;

/// Limit: longer digit strings are not typing mistakes of one port; only their ends are offered.
const DIGITS_MAX: usize = 9;

/// Ports from 1 to 65535 that `text` may have meant, the most probable first, at most eight.
///
/// One digit too many comes first (from the right: `619009` gives 61900, 61909, 61009, 19009), then
/// two neighbouring digits swapped, then a digit typed twice. Text that is a port gives nothing.
#[must_use]
pub fn candidates(text: &str) -> Vec<u16> {
    let mut found = Found::default();
    match super::digits(text) {
        Ok(digits) if digits.parse::<u16>().is_err() => from_number(digits, &mut found),
        Ok(_) => {}
        Err(super::Problem::Hex) => {
            let hex = text.get(2..).unwrap_or_default();
            found.push(u16::from_str_radix(hex, 16).ok());
        }
        Err(_) => {
            let cleaned: String = text.chars().filter_map(as_digit).collect();
            if cleaned.len() <= DIGITS_MAX {
                found.push_text(&cleaned);
            }
        }
    }
    found.ports
}

/// The digit a character was meant to be; letters that only look like digits are forgiven.
fn as_digit(character: char) -> Option<char> {
    match character {
        'O' | 'o' => Some('0'),
        'l' | 'I' | '|' => Some('1'),
        _ if character.is_ascii_digit() => Some(character),
        // Full-width digits come from documents.
        '\u{FF10}'..='\u{FF19}' => {
            char::from_digit(u32::from(character).saturating_sub(0xFF10), 10)
        }
        _ => None,
    }
}

fn from_number(digits: &str, found: &mut Found) {
    let length = digits.len();
    if length > DIGITS_MAX {
        for keep in [5, 4] {
            found.push(digits.get(..keep).and_then(|head| head.parse().ok()));
            found.push(digits.get(length - keep..).and_then(|tail| tail.parse().ok()));
        }
        return;
    }
    // With more than one digit too many, a digit typed twice is the likeliest first mistake.
    if length > 6 {
        for shorter in without_doubles(digits) {
            from_number(&shorter, found);
        }
    }
    for shorter in without_one(digits) {
        if length > 6 {
            if found.is_full() {
                return;
            }
            from_number(&shorter, found);
        } else {
            found.push_text(&shorter);
        }
    }
    for swapped in swaps(digits) {
        found.push_text(&swapped);
    }
    for shorter in without_one(digits) {
        for other in swaps(&shorter).chain(doubled(&shorter)) {
            found.push_text(&other);
        }
    }
}

/// Every text with one digit dropped, the last digit first.
fn without_one(digits: &str) -> impl Iterator<Item = String> {
    (0..digits.len()).rev().map(move |skip| drop_at(digits, skip))
}

/// Every text in which one of two equal neighbours is dropped, from the left.
fn without_doubles(digits: &str) -> impl Iterator<Item = String> {
    let pairs = digits.bytes().zip(digits.bytes().skip(1));
    pairs
        .enumerate()
        .filter(|(_, (left, right))| left == right)
        .map(move |(at, _)| drop_at(digits, at))
}

fn drop_at(digits: &str, skip: usize) -> String {
    digits.chars().enumerate().filter(|(at, _)| *at != skip).map(|(_, digit)| digit).collect()
}

/// Every text with two different neighbours swapped, from the right.
fn swaps(digits: &str) -> impl Iterator<Item = String> {
    (1..digits.len()).rev().filter_map(move |at| {
        let mut changed: Vec<char> = digits.chars().collect();
        if changed.get(at) == changed.get(at - 1) {
            return None;
        }
        changed.swap(at, at - 1);
        Some(changed.into_iter().collect())
    })
}

/// Every text in which a digit is repeated over its right neighbour, from the right.
fn doubled(digits: &str) -> impl Iterator<Item = String> {
    (1..digits.len()).rev().filter_map(move |at| {
        let mut changed: Vec<char> = digits.chars().collect();
        let left = changed.get(at - 1).copied()?;
        *changed.get_mut(at)? = left;
        Some(changed.into_iter().collect())
    })
}

/// The ports found so far, without repetition.
#[derive(Default)]
struct Found {
    ports: Vec<u16>,
}

impl Found {
    fn push_text(&mut self, digits: &str) {
        // A number that begins with 0 was not typed as a port.
        if !digits.starts_with('0') {
            self.push(digits.parse().ok());
        }
    }

    fn push(&mut self, port: Option<u16>) {
        if let Some(port) = port.filter(|port| *port != 0)
            && !self.is_full()
            && !self.ports.contains(&port)
        {
            self.ports.push(port);
        }
    }

    fn is_full(&self) -> bool {
        self.ports.len() >= CANDIDATES_MAX
    }
}
