//! `stats = true`: a wrapper that counts what a layer does.

use super::{Below, Layer};
use crate::heap::{Heap, Portion};
use crate::slab::class::Class;
use crate::slab::{Batch, FreeBlock, Slab};
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};

/// The layer's shared part, and the counts of all threads.
#[derive(Debug)]
pub struct Counters<S> {
    layer: S,
    counts: Counts,
}

impl<S> Counters<S> {
    /// Counters that wrap a layer's shared part.
    pub const fn new(layer: S) -> Self {
        let counts = Counts {
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            refills: AtomicU64::new(0),
            flushes: AtomicU64::new(0),
        };
        Counters { layer, counts }
    }
}

/// What a layer did, in one class, since the program began.
#[derive(Debug)]
pub struct Counts {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) refills: AtomicU64,
    pub(crate) flushes: AtomicU64,
}

/// `L`, counted. Hits and misses are counted per thread and published in its cold paths.
#[repr(C)]
#[derive(Debug)]
pub struct Counted<L> {
    layer: L,
    hits: Cell<u64>,
    misses: Cell<u64>,
}

impl<L: Layer> Counted<L> {
    fn count(&self, hit: bool) {
        let counter = if hit { &self.hits } else { &self.misses };
        counter.set(counter.get().wrapping_add(1));
    }
}

// SAFETY: every block is passed to the wrapped layer, which keeps the contract.
unsafe impl<L: Layer> Layer for Counted<L> {
    type Shared = Counters<L::Shared>;

    const EMPTY: Self = Counted { layer: L::EMPTY, hits: Cell::new(0), misses: Cell::new(0) };

    const TRIMS: bool = L::TRIMS;

    const LISTS_IN_SLABS: bool = L::LISTS_IN_SLABS;

    #[inline(always)]
    fn pop(&self) -> Option<FreeBlock> {
        let block = self.layer.pop();
        self.count(block.is_some());
        block
    }

    #[inline(always)]
    fn push(&self, block: FreeBlock, owner: usize) -> bool {
        self.layer.push(block, owner)
    }

    fn refill(&self, shared: &Self::Shared, below: &mut impl Below) -> Option<FreeBlock> {
        self.publish(shared);
        self.layer.refill(&shared.layer, &mut shared.counts.count_below(below))
    }

    fn take(&self, batch: &mut Batch<'_>, shared: &Self::Shared, below: &mut impl Below) {
        self.layer.take(batch, &shared.layer, &mut shared.counts.count_below(below));
        self.count(!batch.is_empty());
        self.publish(shared);
    }

    fn put(&self, batch: Batch<'_>, shared: &Self::Shared, below: &mut impl Below) {
        // Of the first layer of an `Inline`, refill and overflow call nothing but `put`.
        self.publish(shared);
        self.layer.put(batch, &shared.layer, &mut shared.counts.count_below(below))
    }

    fn drain(&self, shared: &Self::Shared, below: &mut impl Below) {
        self.publish(shared);
        self.layer.drain(&shared.layer, &mut shared.counts.count_below(below))
    }

    fn shut(&self, shared: &Self::Shared) {
        self.layer.shut(&shared.layer);
    }

    fn take_over(&self, shared: &Self::Shared, below: &mut impl Below) {
        self.layer.take_over(&shared.layer, &mut shared.counts.count_below(below));
    }

    unsafe fn overflow(&self, block: *mut u8, shared: &Self::Shared, below: &mut impl Below) {
        self.publish(shared);
        // SAFETY: the caller's push was passed on to this layer, whose overflow therefore follows its own push.
        unsafe { self.layer.overflow(block, &shared.layer, &mut shared.counts.count_below(below)) }
    }

    fn trim(shared: &Self::Shared, portion: Portion, below: &mut impl Below) -> bool {
        L::trim(&shared.layer, portion, &mut shared.counts.count_below(below))
    }

    fn publish(&self, shared: &Self::Shared) {
        shared.counts.hits.fetch_add(self.hits.replace(0), Ordering::Relaxed);
        shared.counts.misses.fetch_add(self.misses.replace(0), Ordering::Relaxed);
    }

    fn counts(shared: &'static Self::Shared, position: usize) -> Option<&'static Counts> {
        (position == 0).then_some(&shared.counts)
    }
}

/// What is below, counting the batches that come up (refills) or go down (flushes).
struct CountedBelow<'a, B> {
    below: &'a mut B,
    counts: &'a Counts,
}

impl Counts {
    fn count_below<'a, B: Below>(&'a self, below: &'a mut B) -> CountedBelow<'a, B> {
        CountedBelow { below, counts: self }
    }
}

impl<B: Below> Below for CountedBelow<'_, B> {
    fn class(&self) -> &'static Class {
        self.below.class()
    }

    fn refill(&mut self, batch: &mut Batch<'_>) {
        self.below.refill(batch);
        self.counts.refills.fetch_add((!batch.is_empty()).into(), Ordering::Relaxed);
    }

    fn flush(&mut self, batch: Batch<'_>) {
        self.counts.flushes.fetch_add((!batch.is_empty()).into(), Ordering::Relaxed);
        self.below.flush(batch);
    }

    fn tick(&mut self) {
        self.below.tick();
    }

    fn heap(&self) -> Option<(&Heap, u32)> {
        self.below.heap()
    }

    fn refill_page(&mut self) -> Option<&'static Slab> {
        let page = self.below.refill_page()?;
        self.counts.refills.fetch_add(1, Ordering::Relaxed);
        Some(page)
    }
}
