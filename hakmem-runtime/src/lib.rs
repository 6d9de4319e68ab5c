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
//! os       mmap and friends, the futex lock, the clock, the one-line abort; the registry of our addresses
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

mod allocator;
mod block;
pub mod c;
mod class;
mod fork;
pub mod front;
mod large;
pub mod layers;
mod os;
pub mod policies;
mod pool;
#[cfg(feature = "record")]
pub mod recorder;
mod slab;
mod stats;
mod thread;

#[doc(hidden)]
pub mod protocol {
    //! The lock-free protocols, generic over their atomic word so that loom can run the very same code.
    pub use crate::large::Latest;
    pub use crate::os::word::{Word, publish_once};
    pub use crate::pool::stack::TaggedStack;
    pub use crate::slab::remote::{Pushed, Released, RemoteWord};
    pub use crate::thread::worker::{fall_asleep, wake};
}

pub use allocator::{Allocator, Config};
pub use block::{Block, Chain};
pub use class::{Class, ClassTable};
pub use large::Large;
pub use policies::counted::{LayerStats, LayerTable};
pub use pool::stack::SlabStack;
pub use slab::geometry::region_shift;
pub use stats::{ClassStats, Stats, StatsJson};
pub use thread::worker::{Task, Worker};
pub use thread::{Heap, HeapSlot, Portion, Reclaim};
