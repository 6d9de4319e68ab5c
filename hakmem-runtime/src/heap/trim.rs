//! Trim: blocks that a layer shares between threads go back to their slabs.
//!
//! A layer may have a store that all threads share, such as the depot of `heapv2`. It may be large, because it does not
//! add to a program's peak: before a heap takes memory that was never used, all stores are emptied. And what no thread
//! has needed for a while goes back when the pool is purged.

use super::Heap;

/// What a trim takes from the stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portion {
    /// Every block.
    All,
    /// The blocks that no thread has needed since the last trim of this kind.
    Unused,
}

/// A function from generated code that flushes a portion of the stores of all its layers to the slabs. Takes the
/// calling thread's heap. `true`: there were blocks.
pub type Trim = fn(Option<&Heap>, Portion) -> bool;

impl Heap {
    /// Calls `trim`, unless it is running already. `true`: there were blocks.
    pub(super) fn trim(&self, trim: Trim, portion: Portion) -> bool {
        // A flush can tick, and the tick can call this function.
        if self.trimming.replace(true) {
            return false;
        }
        let any = trim(Some(self), portion);
        self.trimming.set(false);
        any
    }
}
