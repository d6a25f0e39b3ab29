//! A quick hash for the short names of records. It does not resist keys that were chosen to collide; records are written by AWS.
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A map with the quick hash.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash: words folded by multiplication.
#[derive(Clone, Copy, Default, Debug)]
pub struct Quick(u64);

impl Quick {
    #[inline(always)]
    fn word(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(FACTOR);
        self.0 = (product as u64) ^ ((product >> 64) as u64) ^ word.rotate_left(23);
    }
}

impl Hasher for Quick {
    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.word(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last) ^ (bytes.len() as u64) << 56);
    }
    #[inline(always)]
    fn write_u8(&mut self, n: u8) {
        self.word(u64::from(n));
    }
    #[inline(always)]
    fn write_u32(&mut self, n: u32) {
        self.word(u64::from(n));
    }
    #[inline(always)]
    fn write_u64(&mut self, n: u64) {
        self.word(n);
    }
    #[inline(always)]
    fn write_u128(&mut self, n: u128) {
        self.word(n as u64);
        self.word((n >> 64) as u64);
    }
    fn finish(&self) -> u64 {
        self.0.wrapping_mul(FACTOR)
    }
}
