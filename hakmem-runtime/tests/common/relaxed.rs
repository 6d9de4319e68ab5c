//! A broken twin of words.

use hakmem_runtime::protocol::Word;
use std::sync::atomic::Ordering;

/// A word whose operations order nothing.
#[derive(Debug, Default)]
pub(crate) struct Relaxed<W>(pub(crate) W);

impl<W: Word> Word for Relaxed<W> {
    fn load(&self, _: Ordering) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    fn store(&self, value: u64, _: Ordering) {
        self.0.store(value, Ordering::Relaxed);
    }
    fn compare_exchange_weak(&self, old: u64, new: u64, _: Ordering, _: Ordering) -> Result<u64, u64> {
        self.0.compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed)
    }
}
