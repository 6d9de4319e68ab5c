//! What threads share: free slabs, the SuperSlabs and regions that they are cut from, and how their memory returns to
//! the system. Imports `slab`, `meta` and `sys`.
//!
//! `superslab` says which slabs of a SuperSlab are free, `region` maps SuperSlabs and their metadata, `free_runs`
//! orders SuperSlabs by the room they have, `slab_stack` links slabs without a lock, `pool` combines these, and `purge`
//! is the part of the pool that returns memory.

pub(crate) mod free_runs;
pub(crate) mod pool;
pub(crate) mod purge;
pub(crate) mod region;
pub(crate) mod slab_stack;
pub(crate) mod superslab;

pub(crate) use pool::{Pool, PoolConfig, TICKS};
