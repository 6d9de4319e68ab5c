//! How much memory each size stands for.

use std::collections::BTreeMap;

use hakmem_spec::{MEDIUM_GRAIN, SMALL_GRAIN, SMALL_MAX};

use super::cost::Use;
use crate::profile::{Profile, Request};

/// What the classes are chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Goal {
    /// Blocks count as they are alive: resident memory
    Memory,
    /// Blocks count as they are allocated: the cache that they pass through
    Speed,
    /// Half of each
    #[default]
    Balanced,
}

/// The part of all live bytes that is spread over all sizes, seen or not: another input asks for other sizes, and they
/// should not end up in blocks of many times theirs.
const UNSEEN: f64 = 0.01;

/// The sizes that a profile asks for, as far as a class may serve them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Demand {
    /// By the smallest class that would serve: blocks, and the bytes asked for in them. Requests aligned to a word.
    pub(crate) word: BTreeMap<u32, Weight>,
    /// The same of requests aligned to 16 or more, which need a class that is a multiple of 16.
    pub(crate) wide: BTreeMap<u32, Weight>,
    /// Bytes of sizes at the peak of all, and beyond that at their own.
    pub(crate) uses: BTreeMap<u32, Use>,
    /// The largest size seen that a class may serve.
    pub(crate) largest: u32,
}

/// Above this the end of a block that was not asked for is mostly pages that nobody touches: as many blocks count as one.
const UNTOUCHED: (u64, f64) = (32 << 10, 4.0);

/// What a size stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Weight {
    /// Blocks.
    pub(crate) blocks: f64,
    /// Bytes asked for in them.
    pub(crate) bytes: f64,
}

/// A size rounded up to what a class may have. `None`: it is too large for any.
pub(crate) fn class_size(size: u64) -> Option<u32> {
    let size = u32::try_from(size.max(1)).ok()?;
    let grain = if size <= SMALL_MAX { SMALL_GRAIN } else { MEDIUM_GRAIN };
    size.checked_next_multiple_of(grain)
}

impl Demand {
    /// The demand of a profile for classes up to `most` bytes.
    pub(crate) fn new(profile: &Profile, goal: Goal, most: u32) -> Self {
        let runs = profile.runs.max(1) as f64;
        let idle_part = profile.idle_part();
        let idle = |request: &Request| request.idle() as f64 * idle_part / runs;
        // What was needed before or after the peak is not back at the peak, or comes again.
        let alive = |request: &Request| request.at_peak as f64 / runs + idle(request);
        let sum_alive: f64 = profile.requests.values().map(alive).sum();
        let traffic: f64 = profile.allocations() as f64;
        let blocks = |request: &Request| {
            let passing = request.arrivals() as f64 * sum_alive / traffic.max(1.0);
            match goal {
                Goal::Memory => alive(request),
                Goal::Speed => passing,
                Goal::Balanced => (alive(request) + passing) / 2.0,
            }
        };
        let mut demand = Self::default();
        for (&(size, align), request) in &profile.requests {
            let aligned = if align > 8 { size.next_multiple_of(align) } else { size };
            if let Some(class) = class_size(aligned).filter(|class| *class <= most) {
                demand.largest = demand.largest.max(class);
                let of_align = if align > 8 { &mut demand.wide } else { &mut demand.word };
                let touched = if size > UNTOUCHED.0 { UNTOUCHED.1.recip() } else { 1.0 };
                of_align.entry(class).or_default().add(blocks(request) * touched, size as f64);
                let live = request.at_peak as f64 / runs;
                let of_class = demand.uses.entry(class).or_default();
                *of_class = *of_class + Use { live, idle: idle(request) } * size as f64;
            }
        }
        demand.spread(demand.largest);
        demand
    }

    /// Adds what stands for the sizes that were not seen: the same bytes to each of four steps a doubling.
    fn spread(&mut self, most: u32) {
        let bytes: f64 = self.word.values().chain(self.wide.values()).map(|weight| weight.bytes).sum();
        let steps = (0_u32..).map(|step| 8.0 * (f64::from(step) / 4.0).exp2());
        let sizes: Vec<u32> = steps.map_while(|size| class_size(size as u64).filter(|size| *size <= most)).collect();
        for &size in &sizes {
            let each = bytes * UNSEEN / sizes.len() as f64;
            self.word.entry(size).or_default().add(each / f64::from(size), f64::from(size));
        }
    }
}

impl Weight {
    fn add(&mut self, blocks: f64, size: f64) {
        self.blocks += blocks;
        self.bytes += blocks * size;
    }
}
