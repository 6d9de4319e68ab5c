//! Hits and misses of each layer, counted in the classes whose spec says `stats = true`.

use crate::cache::Counts;
use crate::global_alloc::CompiledSpec;
use crate::groups::Groups;
use crate::slab::class::Class;
use crate::thread_cache::ThreadCache;
use core::fmt;
use core::sync::atomic::Ordering;

/// What one layer did in one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerStats {
    /// Bytes per block.
    pub block_size: u64,
    /// The layer's name in the spec.
    pub layer: &'static str,
    /// Allocations that the layer served; for a layer below the first, batches.
    pub hits: u64,
    /// Allocations, or batches, that the layer had no block for.
    pub misses: u64,
    /// How often it got blocks from the layers below.
    pub refills: u64,
    /// How often it flushed blocks to the layers below.
    pub flushes: u64,
}

/// What the layers did in the classes whose spec says `stats = true`. `Display` prints a table. A thread publishes its
/// counts on slow paths and when it ends, so the latest hits of other threads may be missing.
#[derive(Debug, Clone, Copy)]
pub struct LayerTable {
    classes: &'static [Class],
    /// What the layer at a position did in the class at an index.
    counts: fn(usize, usize) -> Option<&'static Counts>,
}

/// The table of a spec, which includes all counts of the calling thread.
pub fn layer_stats<S: CompiledSpec>() -> LayerTable {
    // A thread that has not started shares a cache that is never written to, and has no counts.
    if S::Cache::has_started() {
        S::Cache::with(S::Groups::publish);
    }
    LayerTable { classes: S::CLASSES, counts: S::Groups::counts }
}

impl LayerTable {
    /// The rows by class, and by layer from the first.
    pub fn iter(&self) -> impl Iterator<Item = LayerStats> {
        let LayerTable { classes, counts } = *self;
        classes.iter().enumerate().flat_map(move |(class_index, class)| {
            class.layers.iter().enumerate().filter_map(move |(position, layer)| {
                let Counts { hits, misses, refills, flushes } = counts(class_index, position)?;
                Some(LayerStats {
                    block_size: class.size.into(),
                    layer,
                    hits: hits.load(Ordering::Relaxed),
                    misses: misses.load(Ordering::Relaxed),
                    refills: refills.load(Ordering::Relaxed),
                    flushes: flushes.load(Ordering::Relaxed),
                })
            })
        })
    }
}

impl fmt::Display for LayerTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "   size  layer              hits      misses     refills     flushes")?;
        for LayerStats { block_size, layer, hits, misses, refills, flushes } in self.iter() {
            if hits + misses + refills + flushes > 0 {
                writeln!(f, "{block_size:>7}  {layer:<10} {hits:>12} {misses:>11} {refills:>11} {flushes:>11}")?;
            }
        }
        Ok(())
    }
}
