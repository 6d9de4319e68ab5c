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

/// Returns the value of `word`; if that is 0, stores what `make` returns. If several threads race, the first to store
/// wins: all get its value, and see what its `make` wrote. `None`: `make` returned 0.
pub fn publish_once(word: &impl Word, make: impl FnOnce() -> u64) -> Option<u64> {
    // Acquire pairs with the Release of the thread that published.
    let mut found = word.load(Ordering::Acquire);
    if found == 0 {
        let made = make();
        while found == 0 && made != 0 {
            match word.compare_exchange_weak(0, made, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => found = made,
                Err(winner) => found = winner,
            }
        }
    }
    if found == 0 { None } else { Some(found) }
}
