//! The atomic word of protocols, and how a value is published in one.

pub use crate::sys::atomic_word::Word;
use core::sync::atomic::Ordering;

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
