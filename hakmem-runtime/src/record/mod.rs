//! The recorder behind `cargo hakmem record`: what a program asks of its allocator, exactly.
//!
//! It exists only under the feature `record`, where the macro wraps the four methods of `GlobalAlloc` in the functions of
//! [`wrap`]. Nothing here is in another build.
//!
//! ```text
//! wrap      a header in front of each block: when it was allocated, and by which thread
//!   │
//! event     what an allocation, a free or a reallocation changes
//!   │
//! thread    a thread's own table of counters, by size and alignment; no other thread writes to it
//! requests  what all threads share of each (size, alignment): live blocks, their peak
//! timeline  live and resident bytes over time; which requests were alive at the peak
//!   │
//! write     the profile as text (docs/PROFILE.md): at exit, on a signal, on an abort
//! ```
//!
//! `start` is where it begins, in the program and in each thread; `fork` where it begins anew, in a child.
//!
//! Counters have one writer and are read when the profile is written, so they are atomics without an atomic operation:
//! a load, an addition, a store. What several threads share is updated in batches (`requests`).

mod event;
mod in_child;
mod output;
mod requests;
mod start;
mod thread;
mod ticks;
mod timeline;
pub mod wrap;
mod write;

pub use wrap::Recorded;
