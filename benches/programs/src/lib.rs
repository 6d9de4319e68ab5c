//! Whole programs for the standings: real work on real libraries, one process per program and allocator.
//!
//! Every library is pure Rust and allocates through the global allocator alone. What a program works on is committed
//! under `input/` or made from a seed by `input.rs`, so a run needs neither network nor files, and its checksum is the
//! same on every machine and under every allocator. What each is called and how much it does is in the table in
//! `benches/src/workloads/programs.rs`, which the standings read without building any of this.

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

/// Does the work of a program so many times over and returns a checksum of the results, the same for the same scale.
pub type Run = fn(scale: u32) -> u64;

/// The program of that name.
pub fn find(name: &str) -> Option<Run> {
    Some(match name {
        "cache" => cache::run,
        "compiler" => compiler::run,
        "dom" => dom::run,
        "graph" => graph::run,
        "images" => images::run,
        "index" => index::run,
        "json" => json::run,
        "markdown" => markdown::run,
        "matcher" => matcher::run,
        "messages" => messages::run,
        "persistent" => persistent::run,
        "script" => script::run,
        "sql" => sql::run,
        "syntax" => syntax::run,
        _ => return None,
    })
}
