//! Layers, capacities and specialisation of a class, from its traffic.
//!
//! What a class has already is the beginning, and is left alone unless the traffic says otherwise. The limits below are
//! from the measurements in docs/LAYERS.md: which layer led, and by how much, where.

use hakmem_spec::{Class, Geometry, SMALL_MAX};

use super::demand::Goal;
use super::evaluate::ClassUse;

/// The part of all traffic from which on a class may have layers of its own. Each different stack costs every
/// allocation of a size known at run time a comparison.
const OWN_LAYERS: f64 = 0.05;
/// The part of frees from other threads from which on whole magazines pay in time.
const REMOTE: f64 = 0.25;
/// The same where memory counts, too: from one thread to another and hardly ever back. What a depot keeps of blocks that all
/// threads allocate and free does not go home: with seven frees in ten from other threads `benches/programs/src/cache.rs` needed
/// 115.7 MiB, and 108.7 with `pages`, in no less time.
const ONE_WAY: f64 = 0.9;
/// The part of frees after a brief life from which on a short stack of pointers pays.
const BRIEF: f64 = 0.9;
/// A class with less than this part of the traffic needs no code of its own.
const RARE: f64 = 0.0001;
/// Bytes of a usual magazine, of 2 to 8 blocks.
const MAGAZINE: u32 = 8192;
/// The part of a class's memory that magazines may keep, and what they may in any case.
const KEPT_PART: u64 = 16;
const KEPT: u64 = 16 << 10;

/// What is to be written in an entry. `None` leaves what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) layers: Option<Vec<&'static str>>,
    /// The capacity of `heapv2`.
    pub(crate) magazine: Option<u32>,
    pub(crate) batch: Option<u32>,
    pub(crate) specialise: Option<bool>,
    pub(crate) reasons: Vec<&'static str>,
}

/// The settings of a class of `size` whose entry makes what `like` has, in a program with so many busy threads.
pub(crate) fn settings(
    like: &Class,
    used: &ClassUse,
    all: u64,
    threads: u64,
    goal: Goal,
    geometry: Geometry,
) -> Settings {
    let mut settings = Settings::default();
    let share = used.arrivals as f64 / all.max(1) as f64;
    let in_one_slab = geometry.shape(used.size).units == 1;
    let stack: Vec<&str> = like.stack.iter().map(|layer| layer.kind.name).collect();
    if used.size <= SMALL_MAX {
        let remote = match goal {
            Goal::Speed => used.remote_share() >= REMOTE,
            Goal::Balanced => used.remote_share() >= ONE_WAY,
            Goal::Memory => false,
        };
        if share >= OWN_LAYERS && remote {
            settings.own_layers(&["heapv2"], &stack, "freed by other threads");
        } else if goal == Goal::Speed && share >= OWN_LAYERS && used.brief as f64 >= BRIEF * used.frees as f64 {
            settings.own_layers(&["sfc", "sll"], &stack, "freed soon after");
        }
        if goal == Goal::Memory && share < RARE && like.specialise {
            settings.specialise = Some(false);
            settings.reasons.push("rare, without code of its own");
        }
    } else if goal == Goal::Speed && share >= OWN_LAYERS && !like.specialise {
        settings.specialise = Some(true);
        settings.reasons.push("frequent, inlined");
    }
    // A class that inherits layers which need one slab, and does not fit one.
    if stack.contains(&"pages") && !in_one_slab {
        settings.own_layers(&["heapv2"], &stack, "longer than a slab");
    }
    if stack == ["heapv2"] && used.size > SMALL_MAX && goal != Goal::Speed {
        settings.magazine(like, used, threads);
    }
    settings
}

impl Settings {
    fn own_layers(&mut self, layers: &[&'static str], old: &[&str], reason: &'static str) {
        self.layers = (layers != old).then(|| layers.to_vec());
        self.reasons.push(reason);
    }

    /// Magazines that keep no more than a part of what the class needs at most.
    fn magazine(&mut self, like: &Class, used: &ClassUse, threads: u64) {
        let Some(old) = like.stack.first().map(|layer| layer.limit) else { return };
        let size = u64::from(used.size);
        let kept = ((used.at_peak * size + used.bytes.idle as u64) / KEPT_PART).max(KEPT);
        // Each thread has two.
        let fitting = (kept / (2 * size * threads.max(1))).max(1);
        let usual = (MAGAZINE / used.size).clamp(2, 8);
        // Powers of two, so that neighbours are alike.
        let capacity = (1_u32 << fitting.ilog2().min(16)).min(usual);
        self.magazine = (capacity != old).then_some(capacity);
        self.batch = (like.batch > capacity).then_some(capacity);
        if capacity < usual {
            self.reasons.push("short magazines, as few blocks are alive");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layers of a frequent class of 64 bytes, of whose frees so many in a hundred are other threads'.
    fn layers(goal: Goal, remote: u64) -> Option<Vec<&'static str>> {
        let source = hakmem_spec::Source::file("test", "[[class]]\nsize = 64\n".to_owned());
        let Ok(spec) = hakmem_spec::parse(&source) else { panic!("a correct spec") };
        let used = ClassUse { size: 64, arrivals: 100, frees: 100, remote, ..ClassUse::default() };
        settings(&spec.classes[0], &used, 1000, 2, goal, spec.geometry).layers
    }

    #[test]
    fn who_frees_what_other_threads_allocate_gets_magazines_as_far_as_memory_allows() {
        let heapv2 = || Some(vec!["heapv2"]);
        let with = |remote| [Goal::Memory, Goal::Balanced, Goal::Speed].map(|goal| layers(goal, remote));
        assert_eq!(with(20), [None, None, None]);
        assert_eq!(with(70), [None, None, heapv2()]);
        assert_eq!(with(95), [None, heapv2(), heapv2()]);
    }
}
