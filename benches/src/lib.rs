//! Where hakmem stands among the allocators that a Rust program would otherwise use.
//!
//! ```sh
//! cargo run --release -p hakmem-benches --bin standings -- --help     # everything, compared
//! cargo bench -p hakmem-benches --features peers --bench micro        # single operations, side by side
//! ```
//!
//! The library holds what both binaries know: the [`workloads`], and the [`Report`] that a `runner`, one for each
//! allocator, prints for the `standings` to read. A workload allocates through `std`, like any program, so it runs on
//! whatever allocator the runner was linked with.

mod clock;
pub mod operations;
pub mod process;
mod report;
pub mod workloads;

pub use report::{Latency, Outcome, Report, Sample};
