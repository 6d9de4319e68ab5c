//! The SuperSlab runtime behind every allocator that [`hakmem::allocator!`](https://docs.rs/hakmem) generates.
//!
//! The macro emits the hit paths into the application's crate; everything that is not per class lives here, once.
//! Dependencies point one way, and the modules are listed in that order:
//!
//! ```text
//! layers   one small file per front layer: what a hit does, what a miss asks for, what an overflow gives back
//!   │      (and policies beside them: other ways to refill and to free, the header, the counters)
//! thread   a thread's heap: its bins of slabs, refill, spill, start and exit
//!   │
//! slab     blocks of one class, their free list, and the word through which other threads free into them
//!   │
//! pool     slabs and SuperSlabs between threads; purging; the regions they are cut from
//!   │
//! os       mmap and friends, the futex lock, the clock, the one-line abort; the page map of our addresses
//! ```
//!
//! `allocator` ties them together in the one static that a generated allocator owns; `large` serves what no class
//! holds; `front` turns a generated hit path into the four methods of `GlobalAlloc`, `c` into C's `malloc`; `stats` reads
//! it all.
//!
//! Nothing in here allocates through the program's allocator, panics, unwinds or takes a lock of std's.

#![no_std]

#[cfg(test)]
extern crate std;

mod backend;
pub mod background;
pub mod c;
pub mod cache;
mod extent;
mod global;
pub mod global_alloc;
pub mod header;
mod heap;
mod meta;
pub mod purger;
#[cfg(feature = "record")]
pub mod record;
mod slab;
mod stats;
mod sys;
mod worker;

#[doc(hidden)]
pub mod protocol {
    //! The lock-free protocols, generic over their atomic word so that loom can run the very same code.
    pub use crate::extent::ExactCache;
    pub use crate::meta::tagged_stack::TaggedStack;
    pub use crate::meta::word::{Word, publish_once};
    pub use crate::slab::remote::{Abandon, RemoteFree, RemoteWord};
    pub use crate::worker::{fall_asleep, wake};
}

pub use cache::counted::{LayerStats, LayerTable};
pub use extent::Extents;
pub use global::{Allocator, Config};
pub use heap::{Heap, HeapSlot, Portion, Reclaim};
pub use meta::tagged_stack::SlabStack;
pub use slab::block::{Block, Chain};
pub use slab::class::{Class, ClassTable};
pub use slab::geometry::region_shift;
pub use stats::{ClassStats, Stats, StatsJson};
pub use worker::{Task, Worker};
