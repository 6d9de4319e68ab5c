//! What the stacks are compared on. Each workload is one function, compiled anew for each stack.

mod lists;
mod places;
mod threads;

use crate::probe::Probe;
use crate::subject::{Heap, User};

/// A pattern of allocations and frees.
pub(crate) trait Workload {
    /// What the user calls it.
    const NAME: &'static str;
    /// What it does, in a line.
    const ABOUT: &'static str;
    /// Repetitions that take some milliseconds.
    const REPEATS: u32;

    /// Prepares, runs `repeats` repetitions between [`Probe::start`] and [`Probe::stop`], and frees all it allocated.
    /// Returns how many blocks were allocated and freed.
    fn run<A: Heap, P: Probe>(user: &mut User<A, P>, repeats: u32) -> u64;
}

/// A workload's name and description, without its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its place in [`WORKLOADS`].
    pub(crate) index: usize,
    /// See [`Workload::NAME`].
    pub(crate) name: &'static str,
    /// See [`Workload::ABOUT`].
    pub(crate) about: &'static str,
}

/// Lists the workloads, and compiles each for a stack.
macro_rules! workloads {
    ($($workload:ty),* $(,)?) => {
        const NAMES: &[(&str, &str)] = &[$((<$workload>::NAME, <$workload>::ABOUT)),*];

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
        pub(crate) const fn cells<A: Heap, C: Heap>() -> [crate::measure::Cell; NAMES.len()] {
            [$(crate::measure::Cell::of::<A, C, $workload>()),*]
        }
    };
}

workloads! {
    lists::Lifo,
    lists::Fifo,
    lists::Depth,
    lists::Burst,
    places::RandomFree,
    places::Interleaved,
    places::RandomMixed,
    threads::ProducerConsumer,
    threads::ThreadChurn,
}

/// The workload of a name.
pub(crate) fn find(name: &str) -> Option<&'static Named> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

/// Random numbers (xorshift64*), the same in every run.
struct Random(u64);

impl Random {
    fn new() -> Random {
        Random(0x9E37_79B9_7F4A_7C15)
    }

    /// A number from `from` to `to`.
    fn within(&mut self, from: u16, to: u16) -> u16 {
        let span = u64::from(to - from) + 1;
        from + u16::try_from(self.next() % span).unwrap_or(0)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    /// The numbers below `count`, shuffled.
    fn order(&mut self, count: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count).collect();
        for last in (1..order.len()).rev() {
            let other = self.next() % (last as u64 + 1);
            order.swap(last, other as usize);
        }
        order
    }
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

    #[test]
    fn random_numbers_stay_within_and_an_order_has_all() {
        let mut random = Random::new();
        assert!((0..1000).map(|_| random.within(16, 18)).all(|number| (16..=18).contains(&number)));
        let mut order = random.order(100);
        assert!(!order.is_sorted());
        order.sort_unstable();
        assert!(order.into_iter().eq(0..100));
    }
}
