//! What several models use.

use hakmem_runtime::protocol::Word;
use loom::sync::atomic::{AtomicU64, Ordering};

/// loom's atomic as the protocol's word.
#[derive(Debug)]
pub(crate) struct LoomWord(pub(crate) AtomicU64);

impl Word for LoomWord {
    fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }
    fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
    }
    fn compare_exchange_weak(&self, old: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        self.0.compare_exchange_weak(old, new, success, failure)
    }
}
