//! The recorder behind `cargo hakmem record`: exact counts of a program's requests for memory.
//!
//! It is compiled only under `--cfg hakmem_record`, where the macro has the four methods of `GlobalAlloc` call the
//! functions in `wrap`. Each file uses only those below it:
//!
//! ```text
//! wrap        the methods of GlobalAlloc; a header before each block holds when it was allocated, and by which thread
//! event       what an allocation, a free and a reallocation change
//! start       the start of recording, in the program and in each thread
//! child       the child of a fork, which starts a profile of its own
//! profile     the profile as text (docs/PROFILE.md): written at exit, on a signal, on an abort
//! timeline    live and resident bytes over time; which requests were alive at the peak
//! counters    a thread's own counters, by size and alignment; no other thread writes to them
//! requests    what all threads share of each (size, alignment): live blocks and their peak
//! block_header  the header before each block
//! process     which process is recorded, and since when
//! ticks, output               the clock; text output
//! ```
//!
//! A thread's counters are read when the profile is written, so they are atomics; since only that thread writes to
//! them, it increments them with a load and a store. What several threads write to is updated in batches.

mod block_header;
mod child;
mod counters;
mod event;
mod output;
mod process;
mod profile;
mod requests;
mod start;
mod ticks;
mod timeline;
pub mod wrap;
