//! Reclaim: blocks that no thread keeps for itself, but all of them for each other, go back to their slabs.
//!
//! A layer may share a store between threads, as `heapv2` does its depot. Such a store can be large, because it never adds
//! to what a program needs: before a heap takes memory that was not used before, the stores are emptied; and what nobody
//! took from them for a while goes home anyway.

use super::Heap;

/// How much of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portion {
    /// Every block.
    All,
    /// What nobody has needed since the last time that this was asked for.
    Unused,
}

/// What generated code gives the runtime to empty the stores of its layers with: home for the blocks of other threads' slabs,
/// into the slabs of the calling thread's heap for its own. `true`: there was something.
pub type Reclaim = fn(Option<&Heap>, Portion) -> bool;

impl Heap {
    /// Has a portion given back to this heap and the pool. `true`: there was something.
    pub(crate) fn reclaim(&self, reclaim: Reclaim, portion: Portion) -> bool {
        // Blocks on their way home let time pass: it may be due again before all of them are there.
        if self.reclaiming.replace(true) {
            return false;
        }
        let any = reclaim(Some(self), portion);
        self.reclaiming.set(false);
        any
    }
}
