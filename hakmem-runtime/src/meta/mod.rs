//! The runtime's metadata: the arena it is allocated from, the page map, and the atomic words of lock-free code.
//! Imports `sys`.

pub(crate) mod arena;
pub(crate) mod page_map;
pub(crate) mod tagged_stack;
pub(crate) mod word;
