//! Large blocks: requests that no class serves. Imports `meta`, `slab` and `sys`.
//!
//! ```text
//! segment       address space reserved at once, with a record for each of its pages
//! bins          extents of similar lengths
//! free_extents  the free extents, by length and by age
//! page_store    all pages of a shard: taking extents out, putting them back, joining them
//! lists         extents by length, linked through their records
//! block         a block in its extent: its units, its start, its record
//! local_cache   the extents that a thread freed last
//! shard         a store with its lock: threads are spread over several
//! moves         taking a block's pages away, to put them elsewhere, and the targets that this loses
//! unattended    how much is kept where no thread purges by the clock
//! extents       allocation and free
//! release       giving memory back
//! resize        reallocation: in place, by moving pages, or by a copy
//! inspect       what is at an address, for the report of a crash
//! ```

mod bins;
mod block;
mod extents;
mod free_extents;
mod inspect;
mod lists;
mod local_cache;
mod moves;
mod page_store;
mod release;
mod resize;
#[cfg(test)]
mod resize_tests;
mod segment;
mod shard;
#[cfg(test)]
mod store_tests;
mod unattended;

pub(crate) use extents::{Caller, Extents};
pub(crate) use inspect::ExtentAt;
pub use lists::{Listed, Lists};
pub(crate) use local_cache::LocalCache;
