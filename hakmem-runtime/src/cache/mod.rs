//! Front layers: the mechanisms that a spec composes the thread-local front of a class from.
//!
//! A layer is one file here that shows its whole mechanism, one `pub use` below, and one line in `hakmem-spec`'s
//! catalogue. Its type is the thread-local state of one class; generated code keeps an array of it per group and calls
//! the first layer's [`Layer::pop`] and [`Layer::push`] inline. Everything else is cold and reaches the rest of the
//! stack through [`Below`]:
//!
//! ```text
//!            hit path (inlined)          cold, out of line, one per group
//!  alloc ──▶ first.pop() ── null ──────▶ first.miss(below)      below = Stacked(second, Stacked(third, … Slabs))
//!  free  ──▶ first.push() ── false ─────▶ first.overflow(below)
//! ```

mod array;
mod bounded_list;
mod c23;
pub mod counted;
pub mod deferred;
mod fast;
mod heapv2;
mod hot;
pub mod inline;
#[cfg(test)]
mod model_tests;
mod pages;
mod quarantine;
pub mod refill_via;
mod ring;
mod sfc;
mod sll;
mod stacked;
mod ultrahot;
mod unified;

pub use c23::C23;
pub use fast::Fast;
pub use heapv2::HeapV2;
pub use hot::Hot;
pub use inline::Inline;
pub use pages::Pages;
pub use quarantine::Quarantine;
pub use ring::Ring;
pub use sfc::Sfc;
pub use sll::Sll;
pub use stacked::{Below, Slabs, Stacked, Supply};
pub use ultrahot::UltraHot;
pub use unified::Unified;

use crate::heap::Portion;
use crate::slab::block::{Block, Chain};

/// One mechanism of the thread-local front.
///
/// # Safety
/// An implementation hands out each block that it was given exactly once, and keeps no other.
///
/// All methods run on the thread that owns the state. `shared` is always that of the state's class.
pub unsafe trait Layer: Sized {
    /// What all threads share of this layer in one class: for most the number of blocks that the spec allows it. It has
    /// a `const fn new(limit: u32)`, which generated code calls in a static.
    type Shared: Sync + 'static;

    /// The state of a thread that has not allocated yet, all zero so that it costs a new thread nothing. Its `pop` misses
    /// and its first `push` returns `false`, so that a thread's first operation of either kind reaches the cold path,
    /// which starts the thread: no hit ever tests for it.
    const EMPTY: Self;

    /// Whether a `pop` and a `push` of [`EMPTY`](Layer::EMPTY) write nothing, to the state or to the block: then all threads
    /// that have not begun can share one empty state, and a hit never asks whether its thread has begun.
    const INERT: bool = false;

    /// Whether a `push` to the state of one class is a push of any class's block, as nothing in it is about the class: then a
    /// free of a size that is not known when compiling looks its class up in the cold path alone.
    const ANY_CLASS: bool = false;

    /// Takes a block; null is a miss. Inlined into the application.
    ///
    /// # Safety
    /// On the owning thread.
    unsafe fn pop(&self) -> *mut Block;

    /// Takes a block in; `false` calls for [`Layer::overflow`]. Inlined into the application.
    ///
    /// Whether the layer has the block already when it returns `false` is its own affair; `overflow` is told which one
    /// it was.
    ///
    /// # Safety
    /// On the owning thread; the block is the caller's and of this class.
    unsafe fn push(&self, block: *mut Block) -> bool;

    /// After `pop` missed: gets blocks from below, keeps what it can, and returns one. Null: no memory.
    ///
    /// # Safety
    /// On the owning thread, after a miss.
    unsafe fn miss(&self, shared: &Self::Shared, below: &mut impl Below) -> *mut Block;

    /// After `push(block)` returned `false`: finds place for the block, and gives others to the layer below if it must.
    ///
    /// # Safety
    /// On the owning thread, right after that push.
    unsafe fn overflow(&self, block: *mut Block, shared: &Self::Shared, below: &mut impl Below);

    /// Hands at most `want` blocks to the layer above, perhaps none: that layer goes on to `below` by itself.
    ///
    /// # Safety
    /// On the owning thread.
    unsafe fn demand(&self, want: u32, shared: &Self::Shared, below: &mut impl Below) -> Chain;

    /// Takes what the layer above had no room for, perhaps nothing, and gives on to `below` what is too much. Afterwards
    /// the state is ready for hits.
    ///
    /// # Safety
    /// On the owning thread; the chain is of this class.
    unsafe fn absorb(&self, chain: Chain, shared: &Self::Shared, below: &mut impl Below);

    /// Gives everything to `below` and returns to [`Layer::EMPTY`].
    ///
    /// # Safety
    /// On the owning thread.
    unsafe fn drain(&self, shared: &Self::Shared, below: &mut impl Below);

    /// [`Layer::demand`] for a layer above that keeps pointers: fills `slots` from the start and says how many. Worth
    /// writing for a layer that keeps pointers, too: then no block is touched on its way up.
    ///
    /// # Safety
    /// As `demand`.
    unsafe fn fetch(&self, slots: &mut [*mut Block], shared: &Self::Shared, below: &mut impl Below) -> usize {
        // SAFETY: the caller's contract.
        unsafe { self.demand(slots.len() as u32, shared, below) }.unlink(slots)
    }

    /// [`Layer::absorb`] of pointers. Worth writing for the same reason.
    ///
    /// # Safety
    /// As `absorb`.
    unsafe fn give(&self, blocks: &[*mut Block], shared: &Self::Shared, below: &mut impl Below) {
        // SAFETY: the caller's contract.
        unsafe { self.absorb(Chain::link(blocks), shared, below) }
    }

    /// Gives a portion of the blocks that threads share to `below`. `true`: there were any before. Asked of layers that the
    /// catalogue says to be `shares()`.
    fn release(shared: &Self::Shared, portion: Portion, below: &mut impl Below) -> bool {
        let _ = (shared, portion, below);
        false
    }

    /// Takes over from `other`, the state of another class of the group, what its overflow learned that pushes go by. Asked of
    /// layers that take blocks of [any class](Layer::ANY_CLASS).
    fn learn(&self, other: &Self) {
        let _ = other;
    }

    /// Makes what was counted in this thread visible to all. Nothing is, but under `stats = true`.
    fn publish(&self, shared: &Self::Shared) {
        let _ = shared;
    }
}

/// How many blocks the spec allows a layer of one class to keep.
#[derive(Debug, Clone, Copy)]
pub struct Limit(pub(crate) u32);

impl Limit {
    /// At most `blocks`.
    pub const fn new(blocks: u32) -> Limit {
        Limit(blocks)
    }
}
