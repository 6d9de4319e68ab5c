//! What a class costs, in bytes of memory.

use hakmem_spec::{Geometry, SMALL_MAX};

/// An OS page: memory becomes resident in pieces of it.
const PAGE: f64 = 4096.0;

/// Bytes of a class in each thread and in the runtime: its lists, its bin, the entry of a slab.
const STATE: f64 = 512.0;

/// What classes cost under a geometry, in a program of so many busy threads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prices {
    geometry: Geometry,
    threads: f64,
}

impl Prices {
    pub(crate) fn new(geometry: Geometry, threads: u64) -> Self {
        Self { geometry, threads: threads as f64 }
    }

    /// The memory that a block of a class takes: its size, and its part of what is resident at its span's end. Whole pages
    /// there are never touched.
    pub(crate) fn block(&self, size: u32) -> f64 {
        let shape = self.geometry.shape(size);
        let resident_tail = f64::from(shape.tail) % PAGE;
        f64::from(size) + resident_tail / f64::from(shape.blocks.max(1))
    }

    /// The price of having a class at all: its state; in each thread half a page that is cut but not in use, and what a
    /// front keeps of large blocks; and of the bytes that it needs at times, what stays in half a span of slabs a thread.
    /// Sizes that take turns in one class share that.
    pub(crate) fn class(&self, size: u32, idle: f64) -> f64 {
        let kept = if size > SMALL_MAX { f64::from((8192 / size).clamp(2, 8)) * f64::from(size) } else { 0.0 };
        let span = f64::from(self.geometry.shape(size).units) * f64::from(self.geometry.slab);
        let stays = idle.min(self.threads * span / 2.0);
        self.threads.mul_add(PAGE / 2.0 + kept, STATE) + stays
    }
}
