//! Whole programs, from the crate of that name: what they are called, and how much they do.
//!
//! The table is here and not beside the code, so that `standings` can tell of the programs without their libraries.

use super::{Outcome, Run, Scale, Workload, outcome};
#[cfg(feature = "programs")]
use hakmem_bench_programs::find;
use std::time::Instant;

const fn program(name: &'static str, scale: u32, about: &'static str) -> Workload {
    Workload { name, group: "programs", about, run: Run::Program { scale }, floor: None }
}

/// The programs as workloads, each 1 to 5 s on two cores of an AMD EPYC.
pub(super) const PROGRAMS: [Workload; 14] = [
    program("syntax", 60, "syn: Rust sources to syntax trees, several rounds kept, and back to tokens"),
    program("json", 80, "serde_json: text to values, merged and mutated, to structs, and back to text"),
    program("dom", 210, "scraper (html5ever): HTML pages to trees, queried by selectors, walked, written"),
    program("persistent", 76, "rpds: persistent maps, trees and vectors, hundreds of versions alive"),
    program("script", 165, "rhai: scripts compiled and run that build strings, maps and closures"),
    program("messages", 450, "tokio, two workers: services behind channels, boxed messages, a task for each request"),
    program("cache", 45, "moka, three threads: a concurrent cache under eviction, value sizes shifting"),
    program("index", 135, "unicode-segmentation, rust-stemmers, fst: texts indexed in segments, merged, queried"),
    program("compiler", 115, "naga: shaders parsed, checked, and compiled to SPIR-V and GLSL"),
    program("sql", 22, "gluesql, in memory: inserts, joins, groups, updates and deletes as SQL text"),
    program("markdown", 230, "pulldown-cmark and comrak: a large text to HTML, in a growing string and through a tree"),
    program("matcher", 130, "regex and aho-corasick: automata built from patterns and word lists, texts searched"),
    program("images", 150, "png and miniz_oxide: buffers of 8 to 512 KiB compressed, decompressed, thumbnails kept"),
    program("graph", 60, "petgraph: word graphs built, searched, condensed, thinned, rebuilt"),
];

/// Runs the program of that name; none where there is no such program, or the crate was built without.
pub(super) fn run(name: &str, usual: u32, scale: Scale) -> Option<Outcome> {
    let run = find(name)?;
    let started = Instant::now();
    let checksum = run(scale.of(usual.into()).try_into().unwrap_or(usual));
    Some(Outcome { checksum: Some(checksum), ..outcome(1, started.elapsed()) })
}

/// Without the feature no program is built.
#[cfg(not(feature = "programs"))]
fn find(_: &str) -> Option<fn(u32) -> u64> {
    None
}

#[cfg(all(test, feature = "programs"))]
#[test]
fn every_program_is_found() {
    assert!(PROGRAMS.iter().all(|program| find(program.name).is_some()));
}
