//! The demand of a profile: how many blocks and bytes each size stands for.

use std::collections::BTreeMap;

use hakmem_spec::{MEDIUM_GRAIN, SMALL_GRAIN, SMALL_MAX};

use super::cost::Use;
use crate::profile::{Profile, Request};

/// What to optimise for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Goal {
    /// Resident memory: blocks count while they are live
    Memory,
    /// Time: blocks count when they are allocated, as they pass through the processor's cache
    Speed,
    /// Half memory, half speed
    #[default]
    Balanced,
}

/// The fraction of all live bytes that is spread over all sizes, seen or not. Another input may request other sizes,
/// which should not get blocks many times their size.
const UNSEEN: f64 = 0.01;

/// The requests of a profile that a class may serve.
#[derive(Debug, Clone, Default)]
pub(crate) struct Demand {
    /// Requests aligned to at most 8, by the smallest class that would serve them.
    pub(crate) word: BTreeMap<u32, Weight>,
    /// Requests aligned to 16 or more, which need a class that is a multiple of 16.
    pub(crate) wide: BTreeMap<u32, Weight>,
    /// Bytes live at the peak of the program and at the peak of each size.
    pub(crate) uses: BTreeMap<u32, Use>,
    /// The largest class that a request of the profile needs.
    pub(crate) largest: u32,
}

/// Above this size the unused end of a block is mostly untouched pages, so a block counts as a quarter.
const UNTOUCHED: (u64, f64) = (32 << 10, 4.0);

/// Blocks and bytes of a size.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Weight {
    /// Blocks.
    pub(crate) blocks: f64,
    /// Bytes requested.
    pub(crate) bytes: f64,
}

/// The smallest valid class size for `size` bytes. `None`: no class can be so large.
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
        // Blocks live before or after the peak: not yet returned to the system at the peak, or needed again.
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

    /// Adds demand for sizes that were not seen: the same number of bytes at four sizes per doubling.
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
