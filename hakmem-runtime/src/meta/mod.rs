//! The runtime's metadata: the arena it is allocated from, the page map, and what code without ordinary locks is made of.
//! Imports `sys`.

pub(crate) mod arena;
pub(crate) mod biased_lock;
pub(crate) mod handoff;
pub(crate) mod page_map;
pub(crate) mod tagged_stack;
pub(crate) mod word;
