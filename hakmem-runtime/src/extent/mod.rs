//! Large blocks: requests that no class serves. Imports `meta` and `sys`.
//!
//! `exact_cache` has freed ranges for requests of the same length, `extent_cache` joins and cuts them for all others,
//! and `extents` maps, resizes and unmaps blocks.

mod exact_cache;
mod extent_cache;
mod extents;
#[cfg(test)]
mod realloc_tests;

pub use exact_cache::ExactCache;
pub(crate) use extents::Extents;
