//! The atomic word that the lock-free protocols are generic over: `AtomicU64` in the allocator (`AtomicU32` for a
//! futex), loom's atomics in the models of `tests/loom_*`. So the models check the code that ships, without a
//! `cfg`.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// An atomic integer, wide enough for what its user stores.
pub trait Word {
    /// Reads it.
    fn load(&self, order: Ordering) -> u64;
    /// Writes it.
    fn store(&self, value: u64, order: Ordering);
    /// Writes `new` where `old` is found; may fail spuriously.
    ///
    /// # Errors
    /// What was found instead.
    fn compare_exchange_weak(&self, old: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64>;

    /// Writes `new` and returns what was there.
    fn swap(&self, new: u64, order: Ordering) -> u64 {
        let mut found = self.load(Ordering::Relaxed);
        while let Err(other) = self.compare_exchange_weak(found, new, order, Ordering::Relaxed) {
            found = other;
        }
        found
    }
}

impl Word for AtomicU64 {
    #[inline(always)]
    fn load(&self, order: Ordering) -> u64 {
        AtomicU64::load(self, order)
    }
    #[inline(always)]
    fn store(&self, value: u64, order: Ordering) {
        AtomicU64::store(self, value, order);
    }
    #[inline(always)]
    fn compare_exchange_weak(&self, old: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        AtomicU64::compare_exchange_weak(self, old, new, success, failure)
    }
    #[inline(always)]
    fn swap(&self, new: u64, order: Ordering) -> u64 {
        AtomicU64::swap(self, new, order)
    }
}

impl Word for AtomicU32 {
    #[inline(always)]
    fn load(&self, order: Ordering) -> u64 {
        AtomicU32::load(self, order).into()
    }
    #[inline(always)]
    fn store(&self, value: u64, order: Ordering) {
        AtomicU32::store(self, value as u32, order);
    }
    #[inline(always)]
    fn compare_exchange_weak(&self, old: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        let result = AtomicU32::compare_exchange_weak(self, old as u32, new as u32, success, failure);
        result.map(u64::from).map_err(u64::from)
    }
}
