//! The registers rules compute in, and comparisons whose outcome may be unknown.

use super::expression::Order;
use super::packet::Bytes;

/// The kernel's registers: 16 of four bytes, or four of sixteen over the same bytes.
const SIZE: usize = 64;

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Yes,
    No,
    Perhaps,
}

impl Holds {
    fn known(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Perhaps => Self::Perhaps,
        }
    }
}

#[derive(Debug)]
pub(super) struct Registers {
    bytes: [Option<u8>; SIZE],
}

impl Default for Registers {
    fn default() -> Self {
        Self { bytes: [None; SIZE] }
    }
}

fn place(register: u32) -> Option<usize> {
    let register = usize::try_from(register).ok()?;
    match register {
        1..=4 => Some((register - 1) * 16),
        8..=23 => Some((register - 8) * 4),
        _ => None,
    }
}

impl Registers {
    /// Writes, and fills up the last four bytes with zeros as the kernel does.
    pub(super) fn store(&mut self, register: u32, value: &Bytes) {
        let Some(at) = place(register) else { return };
        let padded = value.len().next_multiple_of(4);
        let values = value.iter().copied().chain(std::iter::repeat(Some(0))).take(padded);
        for (slot, byte) in self.bytes.iter_mut().skip(at).zip(values) {
            *slot = byte;
        }
    }

    pub(super) fn load(&self, register: u32, length: usize) -> Bytes {
        let at = place(register).unwrap_or(SIZE);
        (at..at.saturating_add(length)).map(|at| self.bytes.get(at).copied().flatten()).collect()
    }

    /// A port in a register.
    pub(super) fn port(&self, register: u32) -> Option<u16> {
        match self.load(register, 2).as_slice() {
            [Some(high), Some(low)] => Some(u16::from_be_bytes([*high, *low])),
            _ => None,
        }
    }
}

/// The bytes, when all of them are known.
pub(super) fn all(bytes: &Bytes) -> Option<Vec<u8>> {
    bytes.iter().copied().collect()
}

/// Compares as the kernel does: byte by byte, the first one weighs most.
pub(super) fn compare(left: &Bytes, order: Order, right: &[u8]) -> Holds {
    let differs = left.iter().zip(right).any(|(left, right)| left.is_some_and(|l| l != *right));
    let Some(left) = all(left) else {
        // One byte that is known to differ is enough to say that the whole differs.
        return match (order, differs) {
            (Order::Equal, true) => Holds::No,
            (Order::Differs, true) => Holds::Yes,
            _ => Holds::Perhaps,
        };
    };
    let found = left.as_slice().cmp(right);
    Holds::known(match order {
        Order::Equal => found.is_eq(),
        Order::Differs => found.is_ne(),
        Order::Less => found.is_lt(),
        Order::AtMost => found.is_le(),
        Order::More => found.is_gt(),
        Order::AtLeast => found.is_ge(),
    })
}

/// Whether the bytes lie between two others.
pub(super) fn between(value: &Bytes, first: &[u8], last: &[u8]) -> Holds {
    let low = compare(value, Order::AtLeast, first);
    let high = compare(value, Order::AtMost, last);
    match (low, high) {
        (Holds::Yes, Holds::Yes) => Holds::Yes,
        (Holds::No, _) | (_, Holds::No) => Holds::No,
        _ => Holds::Perhaps,
    }
}

/// `value & mask ^ xor`; a byte that the mask clears is known whatever it was.
pub(super) fn masked(value: &Bytes, mask: &[u8], xor: &[u8]) -> Bytes {
    value
        .iter()
        .zip(mask)
        .zip(xor)
        .map(|((byte, mask), xor)| match (byte, mask) {
            (_, 0) => Some(*xor),
            (Some(byte), mask) => Some(byte & mask ^ xor),
            (None, _) => None,
        })
        .collect()
}

/// Turns the order of the bytes of each number.
pub(super) fn swapped(value: &Bytes, size: usize) -> Bytes {
    value.chunks(size.max(1)).flat_map(|number| number.iter().rev().copied()).collect()
}
