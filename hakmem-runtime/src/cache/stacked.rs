//! The layers below the first one of a stack, as one type.
//!
//! `Then<Second, Then<Third, ()>>` is the state of a class's second and third layer; `()` is the end, below which are
//! the slabs. The thread cache has one such value for each class of a group.

use super::{Below, Counts, Layer, Queue};
use crate::heap::{Heap, Portion};
use crate::slab::class::Class;
use crate::slab::{Batch, Slab};

/// The layers below the first one.
///
/// # Safety
/// The contract of [`Layer`], for all of these layers together.
pub unsafe trait Rest: Sized {
    /// What all threads share of these layers in one class.
    type Shared: Sync + 'static;

    /// The state of a thread that has not allocated yet; see [`Layer::EMPTY`].
    const EMPTY: Self;

    /// Whether [`Layer::TRIMS`] holds for one of them.
    const TRIMS: bool;

    /// Whether [`Layer::LISTS_IN_SLABS`] holds for one of them.
    const LISTS_IN_SLABS: bool;

    /// Whether there is a queue above the slabs.
    const QUEUED: bool = false;

    /// Fills `batch` from the first that has blocks, or from `bottom`.
    fn refill(&self, batch: &mut Batch<'_>, shared: &Self::Shared, bottom: &mut impl Below);

    /// Puts a batch into the first, which flushes any excess to the next.
    fn flush(&self, batch: Batch<'_>, shared: &Self::Shared, bottom: &mut impl Below);

    /// Flushes everything to `bottom`; see [`Layer::drain`].
    fn drain(&self, shared: &Self::Shared, bottom: &mut impl Below);

    /// [`Layer::trim`] of each.
    fn trim(shared: &Self::Shared, portion: Portion, bottom: &mut impl Below) -> bool;

    /// [`Layer::publish`] of each.
    fn publish(&self, shared: &Self::Shared);

    /// [`Layer::counts`] of the layer at `position`, 0 for the first of these.
    fn counts(shared: &'static Self::Shared, position: usize) -> Option<&'static Counts>;

    /// The queue above the slabs, under `refill = "background"`.
    fn queue(shared: &'static Self::Shared) -> Option<&'static Queue> {
        let _ = shared;
        None
    }
}

// SAFETY: it keeps no block: every batch goes to the bottom.
unsafe impl Rest for () {
    type Shared = ();
    const EMPTY: () = ();
    const TRIMS: bool = false;
    const LISTS_IN_SLABS: bool = false;

    fn refill(&self, batch: &mut Batch<'_>, (): &(), bottom: &mut impl Below) {
        bottom.refill(batch);
    }

    fn flush(&self, batch: Batch<'_>, (): &(), bottom: &mut impl Below) {
        bottom.flush(batch);
    }

    fn drain(&self, (): &(), _: &mut impl Below) {}

    fn trim((): &(), _: Portion, _: &mut impl Below) -> bool {
        false
    }

    fn publish(&self, (): &()) {}

    fn counts((): &'static (), _: usize) -> Option<&'static Counts> {
        None
    }
}

/// A layer, then what is below it.
#[repr(C)]
#[derive(Debug)]
pub struct Then<L, R> {
    pub(super) layer: L,
    pub(super) rest: R,
}

/// The shared parts of two layers, or of a layer and of those below it.
#[derive(Debug)]
pub struct SharedPair<A, B> {
    pub(crate) first: A,
    pub(crate) second: B,
}

impl<A, B> SharedPair<A, B> {
    /// A pair.
    pub const fn new(first: A, second: B) -> Self {
        SharedPair { first, second }
    }
}

// SAFETY: each block is in one of the layers, which keep the contract.
unsafe impl<L: Layer, R: Rest> Rest for Then<L, R> {
    type Shared = SharedPair<L::Shared, R::Shared>;
    const EMPTY: Self = Then { layer: L::EMPTY, rest: R::EMPTY };
    const TRIMS: bool = L::TRIMS || R::TRIMS;
    const LISTS_IN_SLABS: bool = L::LISTS_IN_SLABS || R::LISTS_IN_SLABS;
    const QUEUED: bool = R::QUEUED;

    fn refill(&self, batch: &mut Batch<'_>, shared: &Self::Shared, bottom: &mut impl Below) {
        self.layer.take(batch, &shared.first, &mut Under::new(&self.rest, &shared.second, bottom));
        if batch.is_empty() {
            self.rest.refill(batch, &shared.second, bottom);
        }
    }

    fn flush(&self, batch: Batch<'_>, shared: &Self::Shared, bottom: &mut impl Below) {
        self.layer.put(batch, &shared.first, &mut Under::new(&self.rest, &shared.second, bottom));
    }

    /// The blocks of all layers go to the bottom at once.
    fn drain(&self, shared: &Self::Shared, bottom: &mut impl Below) {
        self.layer.drain(&shared.first, bottom);
        self.rest.drain(&shared.second, bottom);
    }

    fn trim(shared: &Self::Shared, portion: Portion, bottom: &mut impl Below) -> bool {
        L::trim(&shared.first, portion, bottom) | R::trim(&shared.second, portion, bottom)
    }

    fn publish(&self, shared: &Self::Shared) {
        self.layer.publish(&shared.first);
        self.rest.publish(&shared.second);
    }

    fn counts(shared: &'static Self::Shared, position: usize) -> Option<&'static Counts> {
        L::counts(&shared.first, position)
            .or_else(|| position.checked_sub(1).and_then(|position| R::counts(&shared.second, position)))
    }

    fn queue(shared: &'static Self::Shared) -> Option<&'static Queue> {
        R::queue(&shared.second)
    }
}

/// What is below a layer: the layers after it, then the slabs.
#[derive(Debug)]
pub struct Under<'a, R: Rest, B> {
    rest: &'a R,
    shared: &'a R::Shared,
    bottom: &'a mut B,
}

impl<'a, R: Rest, B: Below> Under<'a, R, B> {
    /// For the class of `bottom`.
    pub fn new(rest: &'a R, shared: &'a R::Shared, bottom: &'a mut B) -> Self {
        Under { rest, shared, bottom }
    }
}

impl<R: Rest, B: Below> Below for Under<'_, R, B> {
    fn class(&self) -> &'static Class {
        self.bottom.class()
    }

    fn refill(&mut self, batch: &mut Batch<'_>) {
        self.rest.refill(batch, self.shared, self.bottom);
    }

    fn flush(&mut self, batch: Batch<'_>) {
        self.rest.flush(batch, self.shared, self.bottom);
    }

    fn tick(&mut self) {
        self.bottom.tick();
    }

    fn heap(&self) -> Option<(&Heap, u32)> {
        self.bottom.heap()
    }

    fn refill_page(&mut self) -> Option<&'static Slab> {
        self.bottom.refill_page()
    }
}
