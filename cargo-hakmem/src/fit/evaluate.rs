//! What a spec comes to for a profile, request by request, with the tables that the macro makes of it.

use hakmem_spec::{Class, Plan, Spec};

use super::cost::{Prices, Use};
use crate::profile::{Profile, Request};

/// An OS page, of which large blocks are whole numbers.
const PAGE: u64 = 4096;

/// A block that lives less than so many nanoseconds, as a power of two, comes back while it is in the cache.
const BRIEF: u32 = 11;

/// What a spec comes to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evaluation {
    /// By class, ascending.
    pub(crate) classes: Vec<ClassUse>,
    /// What no class serves.
    pub(crate) large: ClassUse,
    /// The runs of which all this is the sum.
    runs: f64,
}

/// What a class has to do.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ClassUse {
    /// Its size; 0 of large blocks.
    pub(crate) size: u32,
    /// The smallest and the largest request that it serves.
    pub(crate) requests: Option<(u64, u64)>,
    /// Allocations, frees, and frees from another thread than the one that allocated.
    pub(crate) arrivals: u64,
    pub(crate) frees: u64,
    pub(crate) remote: u64,
    /// Frees of blocks that lived less than 2¹¹ nanoseconds.
    pub(crate) brief: u64,
    /// Blocks alive at the peak of all, and each at its own.
    pub(crate) at_peak: u64,
    pub(crate) peak: u64,
    /// Bytes of the first, and of those beyond that may be alive together.
    pub(crate) bytes: Use,
    /// Bytes asked for in those at the peak of all, and in blocks of them.
    pub(crate) requested: u64,
    pub(crate) granted: u64,
    /// Allocations that the front has not ready.
    pub(crate) misses: u64,
}

impl Evaluation {
    /// What a spec comes to.
    pub(crate) fn new(spec: &Spec, profile: &Profile) -> Self {
        let plan = Plan::new(spec);
        let mut classes: Vec<ClassUse> =
            spec.classes.iter().map(|class| ClassUse { size: class.size, ..ClassUse::default() }).collect();
        let mut large = ClassUse::default();
        let idle_part = profile.idle_part();
        for (&(size, align), request) in &profile.requests {
            let slot = usize::try_from(size).ok().and_then(|size| plan.slot_for(size, usize::try_from(align).ok()?));
            match slot {
                Some(slot) => {
                    let class = plan.slots[slot].class;
                    classes[class].add(size, spec.classes[class].size.into(), request);
                    let used = Use { live: request.at_peak as f64, idle: request.idle() as f64 * idle_part };
                    classes[class].bytes = classes[class].bytes + used * size as f64;
                }
                None => large.add(size, size.next_multiple_of(PAGE), request),
            }
        }
        for (class, used) in spec.classes.iter().zip(&mut classes) {
            used.misses = misses(class, used);
        }
        Self { classes, large, runs: profile.runs.max(1) as f64 }
    }

    fn all(&self) -> impl Iterator<Item = &ClassUse> {
        self.classes.iter().chain([&self.large])
    }

    /// Bytes asked for at the peak.
    pub(crate) fn requested(&self) -> u64 {
        self.all().map(|used| used.requested).sum()
    }

    /// Bytes at the peak that are in a block and were not asked for.
    pub(crate) fn waste(&self) -> u64 {
        self.all().map(ClassUse::waste).sum()
    }

    /// Allocations.
    pub(crate) fn arrivals(&self) -> u64 {
        self.all().map(|used| used.arrivals).sum()
    }

    /// The part of allocations by class that the front serves at once.
    pub(crate) fn hit_rate(&self) -> f64 {
        let (misses, arrivals) = self
            .classes
            .iter()
            .fold((0, 0), |(misses, arrivals), used| (misses + used.misses, arrivals + used.arrivals));
        1.0 - misses as f64 / arrivals.max(1) as f64
    }

    /// The prices of the classes that are used, in all runs.
    pub(crate) fn prices(&self, prices: &Prices) -> f64 {
        let used = self.classes.iter().filter(|used| used.arrivals > 0);
        used.map(|used| prices.class(used.size, used.bytes * self.runs.recip())).sum::<f64>() * self.runs
    }

    /// Resident bytes of the heap at the peak of all: the blocks, and what it costs to have the classes.
    pub(crate) fn resident(&self, prices: &Prices) -> f64 {
        let blocks: f64 = self.classes.iter().map(|used| prices.block(used.size) * used.at_peak as f64).sum();
        blocks + self.prices(prices) + self.large.granted as f64
    }
}

impl ClassUse {
    fn add(&mut self, size: u64, block: u64, request: &Request) {
        let (least, most) = self.requests.unwrap_or((size, size));
        self.requests = Some((least.min(size), most.max(size)));
        self.arrivals += request.arrivals();
        self.frees += request.freed + request.grown_from;
        self.remote += request.remote;
        self.brief +=
            request.lifetimes.iter().filter(|(bucket, _)| **bucket < BRIEF).map(|(_, count)| count).sum::<u64>();
        self.at_peak += request.at_peak;
        self.peak += request.peak;
        self.requested += size * request.at_peak;
        self.granted += block * request.at_peak;
    }

    /// Bytes in its blocks at the peak that were not asked for.
    pub(crate) fn waste(&self) -> u64 {
        self.granted.saturating_sub(self.requested)
    }

    /// Frees from another thread, as a part of all.
    pub(crate) fn remote_share(&self) -> f64 {
        self.remote as f64 / self.frees.max(1) as f64
    }
}

/// Allocations that find the front empty: a block is new, or another thread freed it, and they come in batches.
fn misses(class: &Class, used: &ClassUse) -> u64 {
    ((used.peak + used.remote) / u64::from(class.batch)).min(used.arrivals)
}
