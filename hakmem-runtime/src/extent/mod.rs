//! Large blocks: requests that no class serves. Imports `meta`, `slab` and `sys`.
//!
//! ```text
//! segment       address space reserved at once, with a record for each of its pages
//! free_extents  the free extents, by length and by age
//! page_store    all pages: taking extents out, putting them back, joining them
//! exact_cache   the extents freed last, for requests of the same length, without a lock
//! block         a block in its extent: its units, its start, its record
//! moves         taking a block's pages away, to put them elsewhere
//! extents       allocation, free, purge
//! resize        reallocation: in place, by moving pages, or by a copy
//! ```

mod block;
mod exact_cache;
mod extents;
mod free_extents;
mod moves;
mod page_store;
mod resize;
#[cfg(test)]
mod resize_tests;
mod segment;
#[cfg(test)]
mod store_tests;

pub use exact_cache::ExactCache;
pub(crate) use extents::Extents;
