//! A broken twin of the words of stacks.

use hakmem_runtime::protocol::Word;
use std::sync::atomic::Ordering;

/// A word that forgets the tag, and the depth, which are bits 40 and up: the stack without its protection.
#[derive(Debug)]
pub(crate) struct Untagged<W>(pub(crate) W);

const NODE: u64 = (1 << 40) - 1;

impl<W: Word> Word for Untagged<W> {
    fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }
    fn store(&self, value: u64, order: Ordering) {
        self.0.store(value & NODE, order);
    }
    fn compare_exchange_weak(&self, old: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        self.0.compare_exchange_weak(old & NODE, new & NODE, success, failure)
    }
}
