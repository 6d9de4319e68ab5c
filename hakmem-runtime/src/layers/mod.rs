//! Front layers: the mechanisms that a spec composes the thread-local front of a class from.
//!
//! A layer is one file here that shows its whole mechanism, one `pub use` below, and one line in `hakmem-spec`'s
//! catalogue. Its type is the thread-local state of one class; generated code keeps an array of it per group and calls
//! the first layer's [`Layer::pop`] and [`Layer::push`] inline. Everything else is cold and reaches the rest of the
//! stack through [`Below`]:
//!
//! ```text
//!            hit path (inlined)          cold, out of line, one per group
//!  alloc ──▶ first.pop() ── null ──────▶ first.miss(below)      below = Over(second, Over(third, … Slabs))
//!  free  ──▶ first.push() ── false ─────▶ first.overflow(below)
//! ```

mod below;
mod sll;
#[cfg(test)]
mod tests;
mod unified;

pub use below::{Below, Over, Slabs};
pub use sll::Sll;
pub use unified::Unified;

use crate::block::{Block, Chain};

/// One mechanism of the thread-local front.
///
/// # Safety
/// An implementation hands out each block that it was given exactly once, and keeps no other.
///
/// All methods run on the thread that owns the state. `limit` is the number of blocks that the spec allows this layer
/// for this class.
pub unsafe trait Layer: Sized {
    /// The state of a thread that has not allocated yet. Its `pop` misses and its first `push` returns `false`, so
    /// that a thread's first operation of either kind reaches the cold path, which starts the thread: no hit ever tests for it.
    const EMPTY: Self;

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
    unsafe fn miss(&self, limit: u32, below: &mut impl Below) -> *mut Block;

    /// After `push(block)` returned `false`: finds place for the block, and gives others to the layer below if it must.
    ///
    /// # Safety
    /// On the owning thread, right after that push.
    unsafe fn overflow(&self, block: *mut Block, limit: u32, below: &mut impl Below);

    /// Hands at most `want` blocks to the layer above, perhaps none.
    ///
    /// # Safety
    /// On the owning thread.
    unsafe fn demand(&self, want: u32, limit: u32) -> Chain;

    /// Takes what the layer above had no room for, and gives on to `below` what is too much.
    ///
    /// # Safety
    /// On the owning thread; the chain is of this class.
    unsafe fn absorb(&self, chain: Chain, limit: u32, below: &mut impl Below);

    /// Gives everything up and returns to [`Layer::EMPTY`].
    ///
    /// # Safety
    /// On the owning thread.
    unsafe fn drain(&self, limit: u32) -> Chain;
}
