//! The harness of hakmem's benchmarks: how time and memory are measured, summarised and shown.
//!
//! - Measuring: [`clock`] and [`histogram`] for single operations, [`process`] for memory and page faults, [`order`]
//!   for interleaved rounds, [`random`] for workloads, [`tag`] to notice a broken block.
//! - Summarising: [`statistics`].
//! - Showing: [`numbers`], [`progress`], [`svg`], [`output`].
//!
//! No module allocates while something is measured, unless it says so.

pub mod clock;
pub mod histogram;
pub mod numbers;
pub mod order;
pub mod output;
pub mod process;
pub mod progress;
pub mod random;
pub mod statistics;
pub mod svg;
pub mod tag;
