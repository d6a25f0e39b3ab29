//! Which records were read already.
use super::hash::{Map, Quick};
use std::hash::Hasher;

/// How many identifiers are remembered at least, once as many were read. It takes up to 20 bytes each, twice.
pub const HORIZON: usize = 1 << 20;

/// The identifiers of the last records: at least [`HORIZON`], at most twice as many.
#[derive(Default)]
pub struct Seen {
    new: Map<u128, ()>,
    old: Map<u128, ()>,
}

impl Seen {
    /// Notes a record by its identifier. False if it was read before.
    pub fn insert(&mut self, id: &[u8]) -> bool {
        let id = number(id);
        if self.old.contains_key(&id) || self.new.insert(id, ()).is_some() {
            return false;
        }
        if self.new.len() >= HORIZON {
            self.old = std::mem::take(&mut self.new);
        }
        true
    }
}

/// The value of each hexadecimal digit; 255 for other bytes.
const DIGITS: [u8; 256] = {
    let mut digits = [255; 256];
    let mut n = 0;
    while n < 16 {
        digits[b"0123456789abcdef"[n] as usize] = n as u8;
        digits[b"0123456789ABCDEF"[n] as usize] = n as u8;
        n += 1;
    }
    digits
};

/// A UUID as a number; a hash of another identifier.
fn number(id: &[u8]) -> u128 {
    if id.len() != 36 || [8, 13, 18, 23].iter().any(|at| id[*at] != b'-') {
        return hash(id);
    }
    let (mut number, mut bad) = (0_u128, 0);
    for part in [&id[..8], &id[9..13], &id[14..18], &id[19..23], &id[24..]] {
        let mut word = 0_u64;
        for byte in part {
            let digit = DIGITS[usize::from(*byte)];
            bad |= digit;
            word = word << 4 | u64::from(digit & 15);
        }
        number = number << (4 * part.len()) | u128::from(word);
    }
    if bad > 15 { hash(id) } else { number }
}

fn hash(id: &[u8]) -> u128 {
    let half = |salt: u8| {
        let mut quick = Quick::default();
        quick.write_u8(salt);
        quick.write(id);
        u128::from(quick.finish())
    };
    half(0) << 64 | half(1)
}
