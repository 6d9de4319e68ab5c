//! A checksum cheap enough to stay out of the profile.

const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// Depends on everything added to it and on the order.
#[derive(Default)]
pub(crate) struct Checksum(u64);

impl Checksum {
    pub(crate) fn add(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(FACTOR).rotate_left(29);
    }

    pub(crate) fn count(&mut self, value: usize) {
        self.add(value as u64);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.add(word.iter().fold(0, |value, &byte| (value << 8) | u64::from(byte)));
        }
        self.add(words.remainder().iter().fold(bytes.len() as u64, |value, &byte| (value << 8) | u64::from(byte)));
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn value(&self) -> u64 {
        self.0
    }
}

/// The checksum of one text.
pub(crate) fn of(text: &str) -> u64 {
    let mut sum = Checksum::default();
    sum.text(text);
    sum.value()
}
