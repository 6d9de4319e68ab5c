//! A thread's heap: the slabs it owns, how blocks leave them (refill) and come back (spill), how it starts and ends.

mod heap;
pub(crate) mod lifetime;
mod reclaim;
mod refill;
pub(crate) mod spill;
pub(crate) mod worker;

pub use heap::Heap;
pub use lifetime::HeapSlot;
pub use reclaim::{Portion, Reclaim};
