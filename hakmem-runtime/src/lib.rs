//! The runtime behind every allocator that [`hakmem::allocator!`](https://docs.rs/hakmem) generates.
//!
//! The macro emits tables, types and statics into the application's crate. The hit paths are generic code of this
//! crate, compiled in the application's crate for those types. Everything else is compiled once, here.
//!
//! The modules import one way. Each may import those above it in this list, which `tests/rooms.rs` checks:
//!
//! ```text
//! simulated     `core` under `--cfg hakmem_sim`, for the simulator
//! sys           the operating system: memory, time, locks, threads, fork, the message before an abort
//! meta          the arena for metadata, the page map, lock-free stacks, a handoff, a biased lock
//! slab          a slab: blocks of one class, their metadata, remote frees
//! backend       what threads share: free slabs, SuperSlabs, regions, purging
//! extent        large blocks, which no class serves
//! heap          a thread's slabs: refill, flush, reclaim, start and end of the thread
//! cache         the layers of thread caches, a file for each
//! thread_cache  the trait of the generated type that holds a thread's state of every layer
//! header        the header before each block, for `header = "region-id"`
//! size_table    tables from a layout to a class offset
//! class_offset  where a class's state is in the thread cache
//! group         the hit and miss paths of a group: the classes with the same layers and policies
//! groups        several groups, told apart by class offset
//! global        `Allocator`: the static that a generated allocator owns
//! global_alloc  the methods of `GlobalAlloc`
//! table_checks  a proof of the tables, at compile time
//! worker        a thread of the allocator's own
//! background    the worker that refills, for `refill = "background"`
//! purger        the worker that purges, for `purge.background = true`
//! crash_report  the line before a crash, for `crash_report = true`
//! stats         statistics of slabs
//! layer_stats   statistics of layers, for `stats = true`
//! record        the recorder behind `cargo hakmem record`
//! c             C's `malloc` and its relatives
//! ```
//!
//! A request goes up this list as far as it must: `global_alloc` finds the class offset of its layout, `group` asks
//! the first layer for a block, `cache` asks one layer after the other, `heap` takes blocks from the thread's slabs,
//! `backend` provides slabs, and `sys` maps memory.
//!
//! Nothing here allocates through Rust's global allocator, unwinds, or takes a lock of `std`. Some functions of the C
//! library may call `malloc`, for example to start a thread, to store a pthread key's value, or to register a fork
//! handler. They are called while no lock of the allocator is held, and while no layer is in the middle of a change.

#![no_std]

#[cfg(any(test, hakmem_sim))]
extern crate std;

// Under `--cfg hakmem_sim` every `core::…` of this crate is what `simulated` makes of it.
#[cfg(hakmem_sim)]
extern crate self as core;
#[cfg(hakmem_sim)]
pub mod simulated;
#[cfg(hakmem_sim)]
#[doc(hidden)]
pub use simulated::*;

mod backend;
pub mod background;
pub mod c;
pub mod cache;
mod class_offset;
pub mod crash_report;
mod extent;
mod global;
pub mod global_alloc;
pub mod group;
pub mod groups;
pub mod header;
mod heap;
mod layer_stats;
mod meta;
pub mod purger;
#[cfg(hakmem_record)]
pub mod record;
pub mod size_table;
mod slab;
mod stats;
mod sys;
pub mod table_checks;
pub mod thread_cache;
mod worker;

#[doc(hidden)]
pub mod protocol {
    //! The lock-free protocols, generic over their atomic word, so that the loom models run the code that ships.
    pub use crate::extent::{Listed, Lists};
    pub use crate::meta::biased_lock::{BiasedLock, Fences};
    pub use crate::meta::handoff::Handoff;
    pub use crate::meta::page_map::{publish, retract};
    pub use crate::meta::tagged_stack::TaggedStack;
    pub use crate::meta::word::{Word, publish_once};
    pub use crate::slab::remote::{Abandon, RemoteFree, RemoteWord};
    pub use crate::sys::lock_word::{Acquired, LockWord};
    pub use crate::worker::{fall_asleep, wake};
}

pub use global::{Allocator, Config};
pub use heap::{Backing, Heap, HeapSlot, KeeperSteps, LayerHooks, OnCache, Portion, Trim};
pub use layer_stats::{LayerStats, LayerTable, layer_stats};
pub use meta::tagged_stack::NodeStack;
pub use slab::class::{Class, ClassTable};
pub use slab::geometry::region_shift;
pub use slab::{Batch, FreeBlock, FreeList, Slab, Slot};
pub use stats::{ClassStats, Stats, StatsJson};
pub use sys::thread::create as create_thread;
pub use worker::{Task, Worker};
