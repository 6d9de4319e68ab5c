//! Whole programs, from the crate of that name.

use super::Workload;

/// What `--quick` takes a twentieth of.
pub(super) const SCALE: u32 = 20;

/// The programs as workloads.
pub(super) fn all() -> impl Iterator<Item = Workload> {
    // Here goes `hakmem_bench_programs::all()`, mapped to `Run::Program`.
    std::iter::empty()
}
