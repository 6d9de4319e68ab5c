//! Layers, capacities and specialisation of a class, from its traffic.
//!
//! A setting is changed only if the traffic calls for it. The thresholds follow from the measurements in
//! docs/LAYERS.md.

use hakmem_spec::{Class, Geometry, SMALL_MAX};

use super::demand::Goal;
use super::evaluate::ClassUse;

/// The fraction of all allocations from which a class may have layers of its own. Each further stack costs a comparison
/// in every allocation whose size is known only at run time.
const OWN_LAYERS: f64 = 0.05;
/// The fraction of frees by other threads from which `heapv2`, which exchanges whole magazines, saves time.
const REMOTE: f64 = 0.25;
/// The same where memory counts too: there blocks must hardly ever go back to the first thread. Blocks in a depot do
/// not return to their slabs: with seven of ten frees by other threads, `benches/programs/src/cache.rs` needed 115.7
/// MiB, and 108.7 MiB with `pages` in the same time.
const ONE_WAY: f64 = 0.9;
/// The fraction of frees of short-lived blocks from which a short stack of pointers saves time.
const BRIEF: f64 = 0.9;
/// A class with a smaller fraction of all allocations needs no specialised code.
const RARE: f64 = 0.0001;
/// Bytes of blocks in a typical magazine of 2 to 8 blocks.
const MAGAZINE: u32 = 8192;
/// Magazines may keep a 16th of a class's memory, or [`KEPT`] bytes if that is more.
const KEPT_PART: u64 = 16;
/// Bytes that the magazines of a class may keep in any case.
const KEPT: u64 = 16 << 10;

/// The settings to write into an entry. `None`: the entry keeps its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) layers: Option<Vec<&'static str>>,
    /// The capacity of `heapv2`.
    pub(crate) magazine: Option<u32>,
    pub(crate) batch: Option<u32>,
    pub(crate) specialise: Option<bool>,
    pub(crate) reasons: Vec<&'static str>,
}

/// The settings of a class with this traffic, whose entry gives it those of `like`, in a program with `threads` busy
/// threads.
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
    let in_one_slab = geometry.shape(used.size).slabs == 1;
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
            settings.reasons.push("rare, so not specialised");
        }
    } else if goal == Goal::Speed && share >= OWN_LAYERS && !like.specialise {
        settings.specialise = Some(true);
        settings.reasons.push("frequent, so specialised");
    }
    // The class inherits `pages`, which needs spans of one slab, and does not fit one.
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

    /// Shortens magazines, so that they keep no more than a fraction of the class's memory.
    fn magazine(&mut self, like: &Class, used: &ClassUse, threads: u64) {
        let Some(old) = like.stack.first().map(|layer| layer.limit) else { return };
        let size = u64::from(used.size);
        let kept = ((used.at_peak * size + used.bytes.idle as u64) / KEPT_PART).max(KEPT);
        // Each thread has two.
        let fitting = (kept / (2 * size * threads.max(1))).max(1);
        let usual = (MAGAZINE / used.size).clamp(2, 8);
        // A power of two, so that neighbouring classes can share an entry.
        let capacity = (1_u32 << fitting.ilog2().min(16)).min(usual);
        self.magazine = (capacity != old).then_some(capacity);
        self.batch = (like.batch > capacity).then_some(capacity);
        if capacity < usual {
            self.reasons.push("short magazines, since few blocks are live");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layers of a frequent class of 64 bytes with `remote` percent of frees by other threads.
    fn layers(goal: Goal, remote: u64) -> Option<Vec<&'static str>> {
        let source = hakmem_spec::Source::file("test", "[[class]]\nsize = 64\n".to_owned());
        let Ok(spec) = hakmem_spec::parse(&source) else { panic!("a correct spec") };
        let used = ClassUse { size: 64, arrivals: 100, frees: 100, remote, ..ClassUse::default() };
        settings(&spec.classes[0], &used, 1000, 2, goal, spec.geometry).layers
    }

    #[test]
    fn remote_frees_get_magazines_unless_memory_counts_more() {
        let heapv2 = || Some(vec!["heapv2"]);
        let with = |remote| [Goal::Memory, Goal::Balanced, Goal::Speed].map(|goal| layers(goal, remote));
        assert_eq!(with(20), [None, None, None]);
        assert_eq!(with(70), [None, None, heapv2()]);
        assert_eq!(with(95), [None, heapv2(), heapv2()]);
    }
}
