//! Large blocks: requests that no class serves. Imports `meta` and `sys`.
//!
//! `exact_cache` caches freed ranges for requests of the same length, `extent_cache` coalesces and splits them for all
//! others, and `extents` maps, resizes and unmaps blocks.

mod exact_cache;
mod extent_cache;
mod extents;
#[cfg(test)]
mod realloc_tests;

pub use exact_cache::ExactCache;
pub(crate) use extents::Extents;
