//! hakmem compared with the allocators that a Rust program would otherwise use.
//!
//! ```sh
//! cargo run --release -p hakmem-benches --bin standings -- --help     # everything, compared
//! cargo bench -p hakmem-benches --features peers --bench micro        # single operations, side by side
//! ```
//!
//! This library is what both binaries share: the [`workloads`], and the [`Report`] that a `runner` prints and
//! `standings` reads; there is a runner for each allocator. A workload allocates through `std`, like any program, so it
//! runs on whatever allocator the runner was linked with.

pub mod operations;
mod report;
pub mod workloads;

pub use report::{Latency, Outcome, Report, Sample};
