//! A profile served by a spec: each request by the class that the generated size tables give it.

use hakmem_spec::{Class, Plan, Spec};

use super::cost::{PAGE, Prices, Use};
use crate::profile::{Profile, Request};

/// Base-2 logarithm of a lifetime in nanoseconds: a block that lives less is still in the processor's cache when freed.
const BRIEF: u32 = 11;

/// A profile served by a spec.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evaluation {
    /// By class, ascending.
    pub(crate) classes: Vec<ClassUse>,
    /// Requests that no class serves.
    pub(crate) large: ClassUse,
    /// The number of runs that are added up.
    runs: f64,
}

/// The traffic and memory of a class.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ClassUse {
    /// The size of the class; 0 for large blocks.
    pub(crate) size: u32,
    /// The smallest and the largest request.
    pub(crate) requests: Option<(u64, u64)>,
    /// Allocations, including blocks that a reallocation moves here.
    pub(crate) arrivals: u64,
    /// Frees.
    pub(crate) frees: u64,
    /// Frees by another thread than the one that allocated.
    pub(crate) remote: u64,
    /// Frees of blocks that lived less than 2¹¹ nanoseconds.
    pub(crate) brief: u64,
    /// Blocks live at the peak of the program.
    pub(crate) at_peak: u64,
    /// Blocks live at the peaks of the individual sizes, added up.
    pub(crate) peak: u64,
    /// Bytes live at the peak of the program, and beyond that at the peaks of sizes.
    pub(crate) bytes: Use,
    /// Bytes requested in the blocks live at the peak of the program.
    pub(crate) requested: u64,
    /// Bytes of these blocks.
    pub(crate) granted: u64,
    /// Allocations that miss the thread cache.
    pub(crate) misses: u64,
}

impl Evaluation {
    /// Evaluates a spec for a profile.
    pub(crate) fn new(spec: &Spec, profile: &Profile) -> Self {
        let plan = Plan::new(spec);
        let mut classes: Vec<ClassUse> =
            spec.classes.iter().map(|class| ClassUse { size: class.size, ..ClassUse::default() }).collect();
        let mut large = ClassUse::default();
        let idle_part = profile.idle_part();
        for (&(size, align), request) in &profile.requests {
            let index = usize::try_from(size).ok().and_then(|size| plan.class_for(size, usize::try_from(align).ok()?));
            match index {
                Some(index) => {
                    let class = plan.classes[index].spec_index;
                    classes[class].add(size, spec.classes[class].size.into(), request);
                    let used = Use { live: request.at_peak as f64, idle: request.idle() as f64 * idle_part };
                    classes[class].bytes = classes[class].bytes + used * size as f64;
                }
                // A large block is a number of whole pages.
                None => large.add(size, size.next_multiple_of(PAGE.into()), request),
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

    /// Bytes requested in the blocks live at the peak.
    pub(crate) fn requested(&self) -> u64 {
        self.all().map(|used| used.requested).sum()
    }

    /// Bytes of these blocks beyond those requested.
    pub(crate) fn waste(&self) -> u64 {
        self.all().map(ClassUse::waste).sum()
    }

    /// Allocations.
    pub(crate) fn arrivals(&self) -> u64 {
        self.all().map(|used| used.arrivals).sum()
    }

    /// The fraction of the allocations served by classes that hit the thread cache.
    pub(crate) fn hit_rate(&self) -> f64 {
        let (misses, arrivals) = self
            .classes
            .iter()
            .fold((0, 0), |(misses, arrivals), used| (misses + used.misses, arrivals + used.arrivals));
        1.0 - misses as f64 / arrivals.max(1) as f64
    }

    /// The fixed costs of the classes that are used, in all runs.
    pub(crate) fn prices(&self, prices: &Prices) -> f64 {
        let used = self.classes.iter().filter(|used| used.arrivals > 0);
        used.map(|used| prices.class(used.size, used.bytes * self.runs.recip())).sum::<f64>() * self.runs
    }

    /// Resident bytes of the heap at the peak: blocks, and the fixed costs of the classes.
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

    /// Bytes of its blocks at the peak beyond those requested.
    pub(crate) fn waste(&self) -> u64 {
        self.granted.saturating_sub(self.requested)
    }

    /// The fraction of the frees that another thread makes.
    pub(crate) fn remote_share(&self) -> f64 {
        self.remote as f64 / self.frees.max(1) as f64
    }
}

/// Allocations that miss the thread cache: those of a new block or of one that another thread freed, a batch at a time.
fn misses(class: &Class, used: &ClassUse) -> u64 {
    ((used.peak + used.remote) / u64::from(class.batch)).min(used.arrivals)
}
