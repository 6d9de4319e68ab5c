//! A thread's heap: the slabs it owns, how blocks leave them (refill) and come back (spill), how it starts and ends.

mod acquire;
pub(crate) mod bin;
pub(crate) mod lifetime;
mod page_bin;
mod refill;
pub(crate) mod remote_batch;
mod trim;

pub use acquire::Heap;
pub use lifetime::HeapSlot;
pub use trim::{Portion, Reclaim};
