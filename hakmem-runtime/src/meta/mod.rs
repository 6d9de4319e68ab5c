//! The runtime's own metadata: where it is allocated, which addresses are ours, and the atomic words of lock-free code.
//! Imports `sys`.

pub(crate) mod arena;
pub(crate) mod page_map;
pub(crate) mod tagged_stack;
pub(crate) mod word;
