//! `stats = true`: a layer that counts what the layer in it does.

use crate::cache::{Below, Layer, Supply};
use crate::heap::{Heap, Portion};
use crate::slab::block::{Block, Chain};
use crate::slab::class::Class;
use core::cell::Cell;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

/// What all threads share of the layer, and the counts of all threads.
#[derive(Debug)]
pub struct Counters<S> {
    of_layer: S,
    counts: Counts,
}

impl<S> Counters<S> {
    /// Of a layer that shares `of_layer`.
    pub const fn new(of_layer: S) -> Self {
        let counts = Counts {
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            refills: AtomicU64::new(0),
            spills: AtomicU64::new(0),
        };
        Counters { of_layer, counts }
    }

    /// The counts.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }
}

/// What a layer did, in one class, since the program began.
#[derive(Debug)]
pub struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    refills: AtomicU64,
    spills: AtomicU64,
}

/// `L`, counted. Hits and misses are counted in the thread and published in its cold paths.
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

// SAFETY: the layer in it keeps the contract, and nothing else touches its blocks.
unsafe impl<L: Layer> Layer for Counted<L> {
    type Shared = Counters<L::Shared>;

    const EMPTY: Self = Counted { layer: L::EMPTY, hits: Cell::new(0), misses: Cell::new(0) };

    #[inline(always)]
    unsafe fn pop(&self) -> *mut Block {
        // SAFETY: the caller's contract, as everywhere below.
        let block = unsafe { self.layer.pop() };
        self.count(!block.is_null());
        block
    }

    #[inline(always)]
    unsafe fn push(&self, block: *mut Block) -> bool {
        // SAFETY: as above.
        unsafe { self.layer.push(block) }
    }

    unsafe fn miss(&self, shared: &Self::Shared, below: &mut impl Below) -> *mut Block {
        self.publish(shared);
        // SAFETY: as above.
        unsafe { self.layer.miss(&shared.of_layer, &mut CountedBelow { below, counts: &shared.counts }) }
    }

    unsafe fn overflow(&self, block: *mut Block, shared: &Self::Shared, below: &mut impl Below) {
        self.publish(shared);
        // SAFETY: as above.
        unsafe { self.layer.overflow(block, &shared.of_layer, &mut CountedBelow { below, counts: &shared.counts }) }
    }

    unsafe fn demand(&self, want: u32, shared: &Self::Shared, below: &mut impl Below) -> Chain {
        // SAFETY: as above.
        let chain =
            unsafe { self.layer.demand(want, &shared.of_layer, &mut CountedBelow { below, counts: &shared.counts }) };
        self.count(!chain.is_empty());
        self.publish(shared);
        chain
    }

    unsafe fn absorb(&self, chain: Chain, shared: &Self::Shared, below: &mut impl Below) {
        // All that a layer ahead of another hears of cold paths.
        self.publish(shared);
        // SAFETY: as above.
        unsafe { self.layer.absorb(chain, &shared.of_layer, &mut CountedBelow { below, counts: &shared.counts }) }
    }

    unsafe fn drain(&self, shared: &Self::Shared, below: &mut impl Below) {
        self.publish(shared);
        // SAFETY: as above.
        unsafe { self.layer.drain(&shared.of_layer, &mut CountedBelow { below, counts: &shared.counts }) }
    }

    unsafe fn fetch(&self, slots: &mut [*mut Block], shared: &Self::Shared, below: &mut impl Below) -> usize {
        let below = &mut CountedBelow { below, counts: &shared.counts };
        // SAFETY: as above.
        let count = unsafe { self.layer.fetch(slots, &shared.of_layer, below) };
        self.count(count > 0);
        self.publish(shared);
        count
    }

    unsafe fn give(&self, blocks: &[*mut Block], shared: &Self::Shared, below: &mut impl Below) {
        // SAFETY: as above.
        unsafe { self.layer.give(blocks, &shared.of_layer, &mut CountedBelow { below, counts: &shared.counts }) }
    }

    fn release(shared: &Self::Shared, portion: Portion, below: &mut impl Below) -> bool {
        L::release(&shared.of_layer, portion, &mut CountedBelow { below, counts: &shared.counts })
    }

    fn publish(&self, shared: &Self::Shared) {
        shared.counts.hits.fetch_add(self.hits.replace(0), Ordering::Relaxed);
        shared.counts.misses.fetch_add(self.misses.replace(0), Ordering::Relaxed);
    }
}

/// What is below, watched for blocks that go up (a refill) or down (a spill).
struct CountedBelow<'a, B> {
    below: &'a mut B,
    counts: &'a Counts,
}

impl<B> CountedBelow<'_, B> {
    fn refilled(&self, any: bool) {
        self.counts.refills.fetch_add(any.into(), Ordering::Relaxed);
    }

    fn spilled(&self, any: bool) {
        self.counts.spills.fetch_add(any.into(), Ordering::Relaxed);
    }
}

impl<B: Below> Below for CountedBelow<'_, B> {
    fn class(&self) -> &'static Class {
        self.below.class()
    }

    fn demand(&mut self, want: u32) -> Chain {
        let chain = self.below.demand(want);
        self.refilled(!chain.is_empty());
        chain
    }

    fn fetch(&mut self, slots: &mut [*mut Block]) -> usize {
        let count = self.below.fetch(slots);
        self.refilled(count > 0);
        count
    }

    fn supply(&mut self, want: u32) -> Supply {
        let supply = self.below.supply(want);
        self.refilled(!matches!(&supply, Supply::Chain(chain) if chain.is_empty()));
        supply
    }

    fn absorb(&mut self, chain: Chain) {
        self.spilled(!chain.is_empty());
        self.below.absorb(chain);
    }

    fn give(&mut self, blocks: &[*mut Block]) {
        self.spilled(!blocks.is_empty());
        self.below.give(blocks);
    }

    fn home(&self) -> Option<(&Heap, u32)> {
        self.below.home()
    }

    fn filled(&mut self) {
        self.refilled(true);
    }

    fn tick(&mut self) {
        self.below.tick();
    }
}

/// One row: what one layer did in one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerStats {
    /// Bytes a block.
    pub block_size: u64,
    /// The layer's name in the spec.
    pub layer: &'static str,
    /// Allocations that it served; of a layer behind the first, batches.
    pub hits: u64,
    /// Allocations, or batches, that it could not serve.
    pub misses: u64,
    /// Times that blocks came to it from below.
    pub refills: u64,
    /// Times that it gave blocks to those below.
    pub spills: u64,
}

/// One row's place in the generated tables.
#[doc(hidden)]
#[derive(Debug)]
pub struct LayerRow {
    block_size: u32,
    layer: &'static str,
    counts: &'static Counts,
}

impl LayerRow {
    /// Of the layer with these counts.
    pub const fn new(block_size: u32, layer: &'static str, counts: &'static Counts) -> LayerRow {
        LayerRow { block_size, layer, counts }
    }
}

/// What the layers did of those classes whose spec says `stats = true`: `Display` is a table. Each thread publishes its
/// hits when it meets a cold path or ends, so those of other threads may be behind.
#[derive(Debug, Clone, Copy)]
pub struct LayerTable {
    rows: &'static [LayerRow],
}

impl LayerTable {
    /// Of these rows. For generated code.
    #[doc(hidden)]
    pub const fn new(rows: &'static [LayerRow]) -> LayerTable {
        LayerTable { rows }
    }

    /// The rows, class by class, first layer first.
    pub fn iter(&self) -> impl Iterator<Item = LayerStats> {
        self.rows.iter().map(|row| LayerStats {
            block_size: row.block_size.into(),
            layer: row.layer,
            hits: row.counts.hits.load(Ordering::Relaxed),
            misses: row.counts.misses.load(Ordering::Relaxed),
            refills: row.counts.refills.load(Ordering::Relaxed),
            spills: row.counts.spills.load(Ordering::Relaxed),
        })
    }
}

impl fmt::Display for LayerTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "   size  layer              hits      misses     refills      spills")?;
        for LayerStats { block_size, layer, hits, misses, refills, spills } in self.iter() {
            if hits + misses + refills + spills > 0 {
                writeln!(f, "{block_size:>7}  {layer:<10} {hits:>12} {misses:>11} {refills:>11} {spills:>11}")?;
            }
        }
        Ok(())
    }
}
