//! Texts of which many are alike, such as objects of one kind as JSON: each is compressed against the first of about its length.
use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use std::sync::OnceLock;

/// Texts of up to 2^13 bytes are compressed against another one. Longer ones are compressed alone, and nothing that long is kept as a pattern.
const CLASSES: usize = 14;

/// The first text of each class of lengths: those with the same number of binary digits. So it is bounded, also where people create the objects.
#[derive(Debug, Default)]
pub struct Patterns([OnceLock<Box<[u8]>>; CLASSES]);

/// A text, compressed.
#[derive(Debug)]
pub struct Packed {
    class: u8,
    bytes: Box<[u8]>,
}

impl Patterns {
    /// Compresses a text.
    pub fn pack(&self, text: &[u8]) -> Packed {
        let digits = usize::BITS - text.len().leading_zeros();
        let class = u8::try_from(digits).unwrap_or(u8::MAX);
        let pattern = self.0.get(usize::from(class)).map_or(&[][..], |pattern| pattern.get_or_init(|| text.into()));
        Packed { class, bytes: compress_prepend_size_with_dict(text, pattern).into() }
    }

    /// The text that these patterns have packed. `None` for anything else.
    pub fn unpack(&self, packed: &Packed) -> Option<Vec<u8>> {
        let pattern = self.0.get(usize::from(packed.class)).and_then(OnceLock::get).map_or(&[][..], |pattern| pattern);
        decompress_size_prepended_with_dict(&packed.bytes, pattern).ok()
    }
}

#[cfg(test)]
impl Packed {
    /// How many bytes it takes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_as_it_was() {
        let patterns = Patterns::default();
        let noise = |length: u64| (0..length).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect::<Vec<_>>();
        for length in [0, 1, 2, 3, 8, 63, 64, 65, 400, 1023, 1024, 3400, 8191, 8192, 100_000] {
            for text in [vec![b'a'; usize::try_from(length).unwrap()], noise(length)] {
                assert_eq!(patterns.unpack(&patterns.pack(&text)).as_deref(), Some(&text[..]), "{length}");
            }
        }
    }

    #[test]
    fn texts_that_are_alike_take_little_and_a_long_one_is_not_kept_as_a_pattern() {
        let text = |name: &str| {
            let words = (0..40).map(|i| format!(r#""field{}":"{:016x}","#, i * 7919, i * 104_729)).collect::<String>();
            format!(r#"{{"metadata":{{"name":"{name}","uid":"{name}"}},{words}"end":1}}"#)
        };
        let patterns = Patterns::default();
        let first = patterns.pack(text("payments-1").as_bytes());
        let second = patterns.pack(text("payments-2").as_bytes());
        assert!(second.len() * 10 < text("").len(), "{} and {} of {}", first.len(), second.len(), text("").len());
        drop(patterns.pack(&[b'x'; 100_000]));
        assert_eq!(patterns.0.iter().filter(|pattern| pattern.get().is_some()).count(), 1);
    }

    #[test]
    fn what_was_packed_elsewhere_is_refused_and_breaks_nothing() {
        let patterns = Patterns::default();
        let text = b"payments payments payments payments payments ledger ledger";
        let packed = patterns.pack(text);
        assert_ne!(Patterns::default().unpack(&packed).as_deref(), Some(&text[..]));
        assert!(patterns.unpack(&Packed { class: 6, bytes: Box::new([1]) }).is_none());
    }
}
