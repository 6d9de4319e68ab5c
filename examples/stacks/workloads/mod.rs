//! What the stacks are compared on: patterns of allocations and frees, each compiled anew for each stack.

mod lists;
mod places;
mod threads;

use crate::cell::{Cell, Workload};
use crate::probe::Probe;
use crate::subject::{Subject, User};

/// A workload's name and description, without its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its place in [`WORKLOADS`].
    pub(crate) index: usize,
    /// What the user calls it.
    pub(crate) name: &'static str,
    /// What it does, in a line.
    pub(crate) about: &'static str,
}

/// Makes a [`Workload`] of each row, and lists them. A row has the name, the description, the repetitions that take
/// some milliseconds, and the function.
macro_rules! workloads {
    ($($workload:ident = $name:literal, $about:literal, $repeats:literal, $run:expr;)*) => {
        $(
            struct $workload;

            impl Workload for $workload {
                const REPEATS: u32 = $repeats;

                #[inline(never)]
                fn run<A: Subject, P: Probe>(user: &mut User<A, P>, repeats: u32) -> u64 {
                    $run(user, repeats)
                }
            }
        )*

        const NAMES: &[(&str, &str)] = &[$(($name, $about)),*];

        /// All workloads, in the order in which they run.
        pub(crate) static WORKLOADS: [Named; NAMES.len()] = {
            let mut all = [Named { index: 0, name: "", about: "" }; NAMES.len()];
            let mut index = 0;
            while index < all.len() {
                all[index] = Named { index, name: NAMES[index].0, about: NAMES[index].1 };
                index += 1;
            }
            all
        };

        /// What can be measured of a stack, a cell for each workload. `C` is `A` with counters.
        pub(crate) const fn cells<A: Subject, C: Subject>() -> [Cell; NAMES.len()] {
            [$(Cell::of::<A, C, $workload>()),*]
        }
    };
}

workloads! {
    // What thread caches are made for.
    Lifo = "lifo", "100 blocks of 64 B, freed last in first out",
        20_000, lists::last_first::<100, _, _>;
    Fifo = "fifo", "100 blocks of 64 B, freed first in first out",
        20_000, lists::first_first::<100, _, _>;
    // More blocks than any layer holds, so that they go to the slabs and back.
    Depth = "depth", "10,000 blocks of 64 B, freed last in first out",
        100, lists::last_first::<10_000, _, _>;
    // So many that slabs become empty again and again.
    Burst = "burst", "bursts of 50,000 blocks of 64 B, freed first in first out",
        20, lists::first_first::<50_000, _, _>;
    // Lists of free blocks end up shuffled.
    RandomFree = "random-free", "50,000 blocks of 64 B, freed in random order and allocated again",
        10, places::random_free;
    Interleaved = "interleaved", "256 blocks of 64 B alive, one at random freed and replaced in each step",
        250, places::replace_constant;
    // As `interleaved`, with sizes that the compiler does not know.
    RandomMixed = "random-mixed", "256 blocks of 16 to 1,024 B alive, one at random freed and replaced in each step",
        150, places::replace_mixed;
    ProducerConsumer = "producer-consumer",
        "64 B each, allocated in one thread and freed in another, 64 together, 1,024 at most on the way",
        400, threads::producer_consumer;
    ThreadChurn = "thread-churn", "a thread for every 100 blocks of 64 B; its start and end are shared among them",
        200, threads::churn;
}

/// The workload of a name.
pub(crate) fn find(name: &str) -> Option<&'static Named> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for workload in &WORKLOADS {
            assert_eq!(find(workload.name), Some(workload));
        }
        assert_eq!(find("no such"), None);
    }
}
