//! Whole programs for the standings: real work on real libraries, one process per program and allocator.
//!
//! Every library is pure Rust and allocates through the global allocator alone. What a program works on is committed
//! under `input/` or made from a seed by `input.rs`, so a run needs neither network nor files, and its checksum is the
//! same on every machine and under every allocator.

#![forbid(unsafe_code)]
#![deny(missing_docs, missing_debug_implementations, unreachable_pub)]

mod cache;
mod checksum;
mod compiler;
mod dom;
mod graph;
mod images;
mod index;
mod input;
mod json;
mod markdown;
mod matcher;
mod messages;
mod persistent;
mod script;
mod sql;
mod syntax;

/// One program.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// What it is called on the command line and in reports.
    pub name: &'static str,
    /// One line on what it does and with which library.
    pub about: &'static str,
    /// The scale at which it takes 1 to 3 seconds on two cores of an AMD EPYC.
    pub default_scale: u32,
    /// Does the work `scale` times over and returns a checksum of the results, the same for the same scale.
    pub run: fn(scale: u32) -> u64,
}

/// All of them.
pub fn all() -> &'static [Program] {
    &ALL
}

static ALL: [Program; 14] = [
    syntax::PROGRAM,
    json::PROGRAM,
    dom::PROGRAM,
    persistent::PROGRAM,
    script::PROGRAM,
    messages::PROGRAM,
    cache::PROGRAM,
    index::PROGRAM,
    compiler::PROGRAM,
    sql::PROGRAM,
    markdown::PROGRAM,
    matcher::PROGRAM,
    images::PROGRAM,
    graph::PROGRAM,
];
