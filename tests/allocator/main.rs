//! Generated allocators, called as any caller of `GlobalAlloc` does, beside the system's allocator, which the harness uses.
//! Each test has allocators of its own, or takes turns, or runs in a process of its own, so that its books are exact.

// For the module `forms`: a second name of the crate.
extern crate hakmem as other;

#[path = "../common/address_space.rs"]
mod address_space;
#[path = "../common/blocks.rs"]
mod blocks;
#[path = "../common/dies.rs"]
mod dies;
#[path = "../common/forks.rs"]
mod forks;
#[cfg(not(miri))]
#[path = "../common/kernel.rs"]
mod kernel;
#[path = "../common/rerun.rs"]
mod rerun;
#[path = "../common/resident.rs"]
mod resident;
mod workers;

mod background;
mod depot;
#[cfg(not(miri))]
mod every_call;
mod extents;
#[cfg(not(miri))]
mod faults;
mod first_use;
mod forms;
mod headers;
mod holes;
mod interpreted;
mod large;
mod locked;
#[cfg(not(miri))]
mod lost_moves;
mod memory;
mod misuse;
mod model;
mod out_of_memory;
mod policies;
mod purger;
mod refused_calls;
mod same_name;
mod sleeping;
mod stacks;
mod tables;
mod threads;
