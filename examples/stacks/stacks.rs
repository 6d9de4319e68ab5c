//! The stacks that are compared: each an allocator of its own, all in this one program.
//!
//! To add one, add a row to the table. It has its spec twice: as it is timed, and with `stats = true`, which makes the
//! layers count what they do and so changes the time they take. The macro cannot write the second from the first,
//! because `hakmem::allocator!` reads a spec from the source's text.
//!
//! Requests of 16 bytes get a block of 32 here: with one entry for all classes, that is the least size that has four
//! steps to the next power of two.

use crate::cell::Cell;
use crate::subject::{self, Subject};
use crate::workloads::{self, WORKLOADS};

/// Two names for one stack: what they differ by is noise.
pub(crate) const SAME: (&str, &str) = ("unified+sll", "unified+sll (again)");

/// A stack, and what can be done with it.
#[derive(Debug)]
pub(crate) struct Stack {
    /// Its name in the tables.
    pub(crate) name: &'static str,
    /// Whether both allocators serve what is asked of them.
    pub(crate) serves: fn() -> bool,
    /// Purges both.
    pub(crate) purge: fn(),
    /// What can be measured, a cell for each of [`WORKLOADS`].
    pub(crate) cells: [Cell; WORKLOADS.len()],
}

impl Stack {
    const fn of<A: Subject, C: Subject>(name: &'static str) -> Stack {
        Stack { name, serves: both_serve::<A, C>, purge: purge_both::<A, C>, cells: workloads::cells::<A, C>() }
    }
}

fn both_serve<A: Subject, C: Subject>() -> bool {
    subject::serves::<A>() && subject::serves::<C>()
}

fn purge_both<A: Subject, C: Subject>() {
    A::purge();
    C::purge();
}

/// The stack of a name.
pub(crate) fn find(name: &str) -> Option<&'static Stack> {
    STACKS.iter().find(|stack| stack.name == name)
}

/// Makes generated allocators [`Subject`]s.
macro_rules! subjects {
    ($($heap:ty),*) => {$(
        impl crate::subject::Subject for $heap {
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

/// Makes two allocators of each row's specs, `Heap`, which is timed, and `Counted`, which counts; and lists the rows.
macro_rules! stacks {
    ($($(#[$about:meta])* $module:ident = $name:expr, $spec:tt $counted:tt;)*) => {
        $(
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

                subjects!(Heap, Counted);
            }
        )*

        /// All stacks, in the order of the tables' rows.
        pub(crate) static STACKS: &[Stack] = &[
            $(Stack::of::<$module::Heap, $module::Counted>($name)),*
        ];
    };
}

stacks! {
    /// One bounded list.
    unified = "unified",
        { defaults = { layers = ["unified"] }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["unified"], stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// A bounded list, and one without a bound below it: what a spec gets that names no layers.
    unified_sll = SAME.0,
        { defaults = { layers = ["unified", "sll"] }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["unified", "sll"], stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// The same stack once more, to show by how much two equal programs differ.
    unified_sll_again = SAME.1,
        { defaults = { layers = ["unified", "sll"] }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["unified", "sll"], stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// One list without a bound.
    sll = "sll",
        { defaults = { layers = ["sll"] }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["sll"], stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// A ring, so that the block freed first is used first.
    ring_sll = "ring+sll",
        { defaults = { layers = ["ring", "sll"] }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["ring", "sll"], stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// A small stack of pointers.
    fast = "fast",
        { defaults = { layers = ["fast"] }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["fast"], stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// A small stack of pointers, and a list below it.
    fast_sll = "fast+sll",
        { defaults = { layers = ["fast", "sll"] }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["fast", "sll"], stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// A stack of pointers that grows where blocks come back soon.
    sfc_sll = "sfc+sll",
        { defaults = { layers = ["sfc", "sll"] }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["sfc", "sll"], stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// A list without a count.
    c23 = "c23",
        { defaults = { layers = ["c23"] }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["c23"], stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// Two to four slots above two lists.
    ultrahot_unified_sll = "ultrahot+unified+sll",
        { defaults = { layers = ["ultrahot", "unified", "sll"] }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["ultrahot", "unified", "sll"], stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// Magazines that threads exchange through a depot.
    heapv2 = "heapv2",
        { defaults = { layers = ["heapv2"] }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["heapv2"], stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// Magazines, and a list for what the depot does not take.
    heapv2_sll = "heapv2+sll",
        { defaults = { layers = ["heapv2", "sll"] }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["heapv2", "sll"], stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// A run of fresh blocks, then a list.
    hot = "hot",
        { defaults = { layers = ["hot"] }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["hot"], stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// A run of fresh blocks, then a list, and another below it.
    hot_sll = "hot+sll",
        { defaults = { layers = ["hot", "sll"] }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["hot", "sll"], stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// Lists in the slabs themselves: the default of `classes.toml`.
    pages = "pages",
        { defaults = { layers = ["pages"] }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["pages"], stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// A bounded list above the slabs' own.
    unified_pages = "unified+pages",
        { defaults = { layers = ["unified", "pages"] }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["unified", "pages"], stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// Freed blocks are filled with a pattern, wait, and are checked; a list is below.
    quarantine_sll = "quarantine+sll",
        { defaults = { layers = ["quarantine", "sll"] }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["quarantine", "sll"], stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// Frees wait in a queue and reach the first layer many at a time.
    deferred = "unified+sll, deferred",
        { defaults = { layers = ["unified", "sll"], free = "deferred" }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["unified", "sll"], free = "deferred", stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// Slabs fill `sll`, and `unified` takes from there.
    legacy = "unified+sll, legacy",
        { defaults = { layers = ["unified", "sll"], refill = "legacy" }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["unified", "sll"], refill = "legacy", stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// A thread of the allocator's own keeps batches ready.
    background = "unified+sll, background",
        { defaults = { layers = ["unified", "sll"], refill = "background" }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["unified", "sll"], refill = "background", stats = true }
          class = [{ sizes = { from = 32, to = 1024, steps_per_doubling = 4 } }] };

    /// A byte before each block holds its class. A block then serves one byte less than its size, so 1,024 needs
    /// another class.
    region_id = "unified+sll, region-id",
        { defaults = { layers = ["unified", "sll"], header = "region-id" }
          class = [{ sizes = { from = 32, to = 1280, steps_per_doubling = 4 } }] }
        { defaults = { layers = ["unified", "sll"], header = "region-id", stats = true }
          class = [{ sizes = { from = 32, to = 1280, steps_per_doubling = 4 } }] };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Scale;

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
