//! What threads share: free slabs, the SuperSlabs and regions that they are cut from, and how their memory returns to
//! the system. Imports `slab`, `meta` and `sys`.
//!
//! `superslab` tracks which slabs of a SuperSlab are free, `region` maps SuperSlabs and their metadata, `free_runs`
//! bins SuperSlabs by their longest free run, `slab_stack` is a lock-free stack of slabs, `pool` combines these, and
//! `purge` is the part of the pool that returns memory.

pub(crate) mod free_runs;
pub(crate) mod pool;
pub(crate) mod purge;
pub(crate) mod region;
pub(crate) mod slab_stack;
pub(crate) mod superslab;

pub(crate) use pool::{Pool, PoolConfig, TICKS};
