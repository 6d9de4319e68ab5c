//! The cost of a class in bytes of memory.

use std::iter::Sum;
use std::ops::{Add, Mul, Sub};

use hakmem_spec::{Geometry, SMALL_MAX};

/// An OS page, the unit in which memory becomes resident.
pub(super) const PAGE: u32 = 4096;

/// Bytes of metadata of a class: its lists, its bin, the metadata of a slab.
const STATE: f64 = 512.0;

/// Bytes that a class serves. Sums over all sizes up to some size are subtracted to get those between two sizes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Use {
    /// Live at the peak of the program.
    pub(crate) live: f64,
    /// Live beyond that at the peaks of the individual sizes.
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

/// Computes the costs of classes for a geometry and a number of busy threads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prices {
    geometry: Geometry,
    threads: f64,
}

impl Prices {
    pub(crate) fn new(geometry: Geometry, threads: u64) -> Self {
        Self { geometry, threads: threads as f64 }
    }

    /// The memory that a block takes: its size, and its share of the span's resident slack. Whole pages of slack are
    /// never touched.
    pub(crate) fn block(&self, size: u32) -> f64 {
        let shape = self.geometry.shape(size);
        let resident_slack = f64::from(shape.slack % PAGE);
        f64::from(size) + resident_slack / f64::from(shape.blocks.max(1))
    }

    /// The fixed cost of a class: its metadata, the blocks above [`SMALL_MAX`] that a thread cache keeps, and the free
    /// memory in the spans that a thread has started. That is half a span, or less if the class does not fill one: half
    /// of the bytes that are live at the peak, and all that are live only at other times. Free and never used blocks
    /// count alike, since memory is returned by the span; sizes that peak at different times share this memory if they
    /// share a class.
    pub(crate) fn class(&self, size: u32, of: Use) -> f64 {
        let kept = if size > SMALL_MAX { f64::from((8192 / size).clamp(2, 8)) * f64::from(size) } else { 0.0 };
        let span = f64::from(self.geometry.shape(size).slabs) * f64::from(self.geometry.slab);
        let free = ((of.live / 2.0 + of.idle) / self.threads).clamp(f64::from(PAGE) / 2.0, span / 2.0);
        self.threads.mul_add(free + kept, STATE)
    }
}
