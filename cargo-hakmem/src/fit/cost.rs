//! What a class costs, in bytes of memory.

use std::iter::Sum;
use std::ops::{Add, Mul, Sub};

use hakmem_spec::{Geometry, SMALL_MAX};

/// An OS page: memory becomes resident in pieces of it.
const PAGE: f64 = 4096.0;

/// Bytes of a class in each thread and in the runtime: its lists, its bin, the entry of a slab.
const STATE: f64 = 512.0;

/// What a class is needed for, in bytes. Between two sizes it is the difference of what is up to each.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Use {
    /// Alive at the peak of all.
    pub(crate) live: f64,
    /// Needed beyond that by sizes at their own peaks.
    pub(crate) idle: f64,
}

impl Add for Use {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { live: self.live + other.live, idle: self.idle + other.idle }
    }
}

impl Sub for Use {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { live: self.live - other.live, idle: self.idle - other.idle }
    }
}

impl Mul<f64> for Use {
    type Output = Self;

    fn mul(self, times: f64) -> Self {
        Self { live: self.live * times, idle: self.idle * times }
    }
}

impl Sum for Use {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

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

    /// The price of having a class at all: its state; in each thread what a front keeps of large blocks; and the free memory
    /// of the spans that a thread has begun: half a span, if the class fills as much; else what it needs only at times, and
    /// half of what it always needs. A page comes back only with all of its span, so it does not matter whether the blocks are
    /// free again or were never used; and sizes that take turns share it in one class. (docs/LEDGER.md has what a class less saved in four programs: 25 to 30 KiB a thread.)
    pub(crate) fn class(&self, size: u32, of: Use) -> f64 {
        let kept = if size > SMALL_MAX { f64::from((8192 / size).clamp(2, 8)) * f64::from(size) } else { 0.0 };
        let span = f64::from(self.geometry.shape(size).units) * f64::from(self.geometry.slab);
        let free = ((of.live / 2.0 + of.idle) / self.threads).clamp(PAGE / 2.0, span / 2.0);
        self.threads.mul_add(free + kept, STATE)
    }
}
