//! Whole programs, from the crate of that name.

use super::{Run, Workload};

/// A program: its name, what it does, its usual scale, and what runs it at a scale and returns a checksum.
type Program = (&'static str, &'static str, u32, fn(u32) -> u64);

#[cfg(feature = "programs")]
fn programs() -> Vec<Program> {
    hakmem_bench_programs::all().iter().map(|it| (it.name, it.about, it.default_scale, it.run)).collect()
}

/// Without the feature they are not built.
#[cfg(not(feature = "programs"))]
fn programs() -> Vec<Program> {
    Vec::new()
}

/// The programs as workloads.
pub(super) fn all() -> impl Iterator<Item = Workload> {
    programs().into_iter().map(|(name, about, scale, run)| Workload {
        name,
        group: "programs",
        about,
        run: Run::Program { run, scale },
    })
}
