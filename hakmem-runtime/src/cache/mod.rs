//! Layers: the mechanisms that a spec composes a class's part of the thread cache from.
//!
//! A layer is a file here, a `pub use` below, and an entry in `hakmem-spec`'s catalogue. Its type is the thread-local
//! state of one class; generated code keeps an array of it per group, and a group (`group.rs`) calls the first layer's
//! [`Layer::pop`] and [`Layer::push`] inline. Everything else is cold and reaches the rest of the stack through
//! [`Below`]:
//!
//! ```text
//!            hit path (inlined)          cold, out of line, one per group
//!  alloc ──▶ Layer::pop ── none ───────▶ Layer::refill     ── Below::refill(batch) ──▶ Layer::take of the next, … slabs
//!  free  ──▶ Layer::push ── false ─────▶ Layer::overflow   ── Below::flush(batch) ───▶ Layer::put of the next, … slabs
//! ```
//!
//! How many instructions a hit of each layer takes is in docs/LAYERS.md, in a table of what the compiler makes of it.
//!
//! What goes between two layers is a [`Batch`]: pointers in an array, so that a layer that keeps pointers touches no
//! block, or a list, so that between two layers that link blocks none is relinked.

mod array;
mod below;
mod bounded_list;
mod c23;
mod circle;
mod counted;
mod deferred;
mod depot;
mod fast;
mod heapv2;
mod hot;
mod inline;
#[cfg(test)]
mod model_tests;
mod pages;
mod quarantine;
mod queue;
mod refill_via;
mod ring;
mod sfc;
mod slabs;
mod sll;
mod stacked;
mod ultrahot;
mod unified;

pub use below::Below;
pub use c23::C23;
pub use counted::{Counted, Counters, Counts};
pub use deferred::Deferred;
pub use depot::Depot;
pub use fast::Fast;
pub use heapv2::HeapV2;
pub use hot::Hot;
pub use inline::Inline;
pub use pages::Pages;
pub use quarantine::Quarantine;
pub(crate) use quarantine::WORD as PATTERN_WORD;
pub use queue::{Queue, Queued};
pub use refill_via::RefillVia;
pub use ring::Ring;
pub use sfc::Sfc;
pub use slabs::Slabs;
pub use sll::Sll;
pub use stacked::{Rest, SharedPair, Then, Under};
pub use ultrahot::UltraHot;
pub use unified::Unified;

use crate::heap::Portion;
use crate::slab::{Batch, FreeBlock};

/// One mechanism of the thread cache.
///
/// The cold methods get what all threads share of this state's class as `shared`, and what is below this state as
/// `below`. `shared`, `below` and every block belong to the class of the state ([`Slabs::new`] and
/// [`FreeBlock::from_raw`] demand it); only `push` gets blocks of other classes, under `PUSHES_ANY_CLASS`.
///
/// # Safety
/// Unsafe code relies on all of these:
///
/// - An implementation hands out no block that it was not given, and each at most once for each time that it was given.
///   After a `push` that returned `true` it has the block. After one that returned `false`, `overflow` knows whether it
///   has; the caller of the push does not, and uses the block for nothing but that overflow. An implementation whose
///   `push` may keep a block and return `false` overrides `overflow`.
/// - If `INERT`, a `pop` and a `push` of `EMPTY` write nothing: threads that have not started share one such state.
/// - If `PUSHES_ANY_CLASS`, `push` takes blocks of every class whose first layer is of this type, and the overflow that
///   follows may be that of the state of the block's own class.
pub unsafe trait Layer: Sized {
    /// What all threads share of this layer in one class: for most the number of blocks that the spec allows it. It has
    /// a `const fn new(limit: u32)`, which generated code calls in a static.
    type Shared: Sync + 'static;

    /// The state of a thread that has not allocated yet. Its `pop` misses and its first `push` returns `false`, so a
    /// thread's first operation of either kind reaches the cold path, which starts the thread. A hit need not test for
    /// that, except where threads that have not started share an empty cache and the layer is not
    /// [`INERT`](Layer::INERT).
    const EMPTY: Self;

    /// Whether a `pop` and a `push` of [`EMPTY`](Layer::EMPTY) write nothing, to the state or to the block, so that
    /// threads that have not started can share one empty state.
    const INERT: bool = false;

    /// Whether threads share blocks in it: whether [`Layer::trim`] does anything.
    const TRIMS: bool = false;

    /// For `pages`: whether free blocks are on lists of their slabs, which the heap moves to the bitmaps while memory
    /// waits for its purge.
    const LISTS_IN_SLABS: bool = false;

    /// For `pages`: whether `push` takes blocks of every class whose first layer is of this type. Then a free whose
    /// size is not a constant looks its class up on the cold path only.
    const PUSHES_ANY_CLASS: bool = false;

    /// Takes a block; `None` is a miss. Inlined into the application.
    fn pop(&self) -> Option<FreeBlock>;

    /// Takes a block in. `false`: [`Layer::overflow`] must be called, which knows whether the block was kept. Inlined
    /// into the application. `owner` is the owner id of the thread's slabs of this class, for a layer that asks whose
    /// slab the block is in.
    fn push(&self, block: FreeBlock, owner: usize) -> bool;

    /// After `pop` missed: gets blocks from below, keeps what it can, and returns one. `None`: no memory.
    fn refill(&self, shared: &Self::Shared, below: &mut impl Below) -> Option<FreeBlock>;

    /// Hands blocks to the layer above, as far as it has any and the batch has room. It may be none; then
    /// [`Then`]'s `refill` asks the next layer.
    fn take(&self, batch: &mut Batch<'_>, shared: &Self::Shared, below: &mut impl Below);

    /// Takes in what the layer above had no room for, perhaps nothing, and flushes to `below` what exceeds the limit.
    /// Afterwards `push` has room.
    fn put(&self, batch: Batch<'_>, shared: &Self::Shared, below: &mut impl Below);

    /// Flushes everything to `below` and returns to [`Layer::EMPTY`].
    fn drain(&self, shared: &Self::Shared, below: &mut impl Below);

    /// After `push` refused a block: finds room for it, and flushes others to `below` if it must.
    fn put_one(&self, block: FreeBlock, shared: &Self::Shared, below: &mut impl Below) {
        Batch::with_one(block, |batch| self.put(batch, shared, below));
    }

    /// After `push` of the block at `block` returned `false`. Layers whose `push` may keep the block and still return
    /// `false` override this; otherwise it calls [`put_one`](Layer::put_one).
    ///
    /// # Safety
    /// This directly follows that push, on the same state; under `PUSHES_ANY_CLASS`, on the state of the block's class.
    unsafe fn overflow(&self, block: *mut u8, shared: &Self::Shared, below: &mut impl Below) {
        // SAFETY: the push was given the block and did not keep it, or the layer would override this (see the trait).
        self.put_one(unsafe { FreeBlock::from_raw(block) }, shared, below);
    }

    /// [`push`](Layer::push), and [`overflow`](Layer::overflow) if it must be called: a free on a cold path.
    fn push_or_overflow(&self, block: FreeBlock, owner: usize, shared: &Self::Shared, below: &mut impl Below) {
        let address = block.into_raw();
        // SAFETY: the block was the caller's, who has given it up. The overflow directly follows the push that returned
        // `false`.
        unsafe {
            if !self.push(FreeBlock::from_raw(address), owner) {
                self.overflow(address, shared, below);
            }
        }
    }

    /// Another thread than the state's own, which sleeps as far as is known: makes its hits miss from now on, where the layer
    /// can. The heap's lock is closed, and a fence on all processors follows; so at most one hit may go on as if nothing had
    /// happened, the one that had begun.
    fn shut(&self, shared: &Self::Shared) {
        let _ = shared;
    }

    /// After the fence: flushes what is there to `below`, except what that hit may be about to hand out.
    fn take_over(&self, shared: &Self::Shared, below: &mut impl Below) {
        let _ = (shared, below);
    }

    /// Flushes a portion of the blocks that threads share to `below`. `true`: there were any before.
    fn trim(shared: &Self::Shared, portion: Portion, below: &mut impl Below) -> bool {
        let _ = (shared, portion, below);
        false
    }

    /// Adds this thread's counts to the shared totals. Only under `stats = true` is anything counted.
    fn publish(&self, shared: &Self::Shared) {
        let _ = shared;
    }

    /// What the layer at `position` in this one did, under `stats = true`. (Positions other than 0: [`Inline`] is two
    /// layers of the spec.)
    fn counts(shared: &'static Self::Shared, position: usize) -> Option<&'static Counts> {
        let _ = (shared, position);
        None
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
