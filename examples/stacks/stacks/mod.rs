//! The stacks that are compared: each an allocator of its own, all in this one program.
//!
//! To add one, write a `stack!` in `layers` or `policies`, and a line for it in [`STACKS`]. It has its spec twice: as
//! it is timed, and with `stats = true`, which makes the layers count what they do and so changes the time it takes.
//! The macro cannot write the second from the first, because `hakmem::allocator!` reads a spec from the source's text.
//!
//! Requests of 16 bytes get a block of 32 here: with one entry for all classes, that is the least size that has four
//! steps to the next power of two.

use crate::measure::Cell;
use crate::subject::{self, Heap};
use crate::workloads::{self, WORKLOADS};

/// Two allocators from two specs: `Heap`, which is timed, and `Counted`, which counts.
macro_rules! stack {
    ($(#[$about:meta])* $module:ident $spec:tt counted $counted:tt) => {
        $(#[$about])*
        pub(crate) mod $module {
            hakmem::allocator! {
                /// The stack as it is timed.
                pub(crate) struct Heap $spec
            }

            hakmem::allocator! {
                /// The stack as it counts.
                pub(crate) struct Counted $counted
            }

            subject!(Heap, Counted);
        }
    };
}

/// Lets the workloads use generated allocators.
macro_rules! subject {
    ($($heap:ty),*) => {$(
        impl crate::subject::Heap for $heap {
            fn owns(pointer: *const u8) -> bool {
                <$heap>::owns(pointer)
            }

            fn purge() {
                <$heap>::purge();
            }

            fn counts() -> Vec<crate::subject::LayerCounts> {
                crate::subject::by_layer(<$heap>::layer_stats().iter())
            }
        }
    )*};
}

pub(crate) mod layers;
mod policies;

/// What there is to compare, in the order of the tables' rows.
pub(crate) static STACKS: &[Stack] = &[
    Stack::of::<layers::unified::Heap, layers::unified::Counted>("unified"),
    Stack::of::<layers::unified_sll::Heap, layers::unified_sll::Counted>(SAME.0),
    Stack::of::<layers::unified_sll_again::Heap, layers::unified_sll_again::Counted>(SAME.1),
    Stack::of::<layers::sll::Heap, layers::sll::Counted>("sll"),
    Stack::of::<layers::ring_sll::Heap, layers::ring_sll::Counted>("ring+sll"),
    Stack::of::<layers::fast::Heap, layers::fast::Counted>("fast"),
    Stack::of::<layers::fast_sll::Heap, layers::fast_sll::Counted>("fast+sll"),
    Stack::of::<layers::sfc_sll::Heap, layers::sfc_sll::Counted>("sfc+sll"),
    Stack::of::<layers::c23::Heap, layers::c23::Counted>("c23"),
    Stack::of::<layers::ultrahot_unified_sll::Heap, layers::ultrahot_unified_sll::Counted>("ultrahot+unified+sll"),
    Stack::of::<layers::heapv2::Heap, layers::heapv2::Counted>("heapv2"),
    Stack::of::<layers::heapv2_sll::Heap, layers::heapv2_sll::Counted>("heapv2+sll"),
    Stack::of::<layers::hot::Heap, layers::hot::Counted>("hot"),
    Stack::of::<layers::hot_sll::Heap, layers::hot_sll::Counted>("hot+sll"),
    Stack::of::<layers::pages::Heap, layers::pages::Counted>("pages"),
    Stack::of::<layers::unified_pages::Heap, layers::unified_pages::Counted>("unified+pages"),
    Stack::of::<layers::quarantine_sll::Heap, layers::quarantine_sll::Counted>("quarantine+sll"),
    Stack::of::<policies::deferred::Heap, policies::deferred::Counted>("unified+sll, deferred"),
    Stack::of::<policies::legacy::Heap, policies::legacy::Counted>("unified+sll, legacy"),
    Stack::of::<policies::background::Heap, policies::background::Counted>("unified+sll, background"),
    Stack::of::<policies::region_id::Heap, policies::region_id::Counted>("unified+sll, region-id"),
];

/// Two names for one stack: what they differ by is noise.
pub(crate) const SAME: (&str, &str) = ("unified+sll", "unified+sll (again)");

/// A stack, and everything that can be done with it.
#[derive(Debug)]
pub(crate) struct Stack {
    /// What the tables call it.
    pub(crate) name: &'static str,
    /// Whether both allocators serve what is asked of them.
    pub(crate) serves: fn() -> bool,
    /// Gives back what both keep.
    pub(crate) purge: fn(),
    /// What can be measured, a cell for each of [`WORKLOADS`].
    pub(crate) cells: [Cell; WORKLOADS.len()],
}

impl Stack {
    const fn of<A: Heap, C: Heap>(name: &'static str) -> Stack {
        Stack { name, serves: both_serve::<A, C>, purge: purge_both::<A, C>, cells: workloads::cells::<A, C>() }
    }
}

fn both_serve<A: Heap, C: Heap>() -> bool {
    subject::serves::<A>() && subject::serves::<C>()
}

fn purge_both<A: Heap, C: Heap>() {
    A::purge();
    C::purge();
}

/// The stack of a name.
pub(crate) fn find(name: &str) -> Option<&'static Stack> {
    STACKS.iter().find(|stack| stack.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Scale;

    #[test]
    fn names_are_unique_and_one_stack_is_there_twice() {
        for stack in STACKS {
            assert!(find(stack.name).is_some_and(|found| std::ptr::eq(found, stack)), "{}", stack.name);
        }
        assert!(find(SAME.0).is_some() && find(SAME.1).is_some());
    }

    #[test]
    fn every_stack_serves_and_runs_every_workload() {
        for stack in STACKS {
            assert!((stack.serves)(), "{}", stack.name);
            for cell in &stack.cells {
                assert!((cell.time)(Scale::Least) > 0.0, "{}", stack.name);
                assert!((cell.latency)(Scale::Least).count() > 0, "{}", stack.name);
                assert!((cell.count)(Scale::Least).operations > 0, "{}", stack.name);
            }
            (stack.purge)();
        }
    }
}
