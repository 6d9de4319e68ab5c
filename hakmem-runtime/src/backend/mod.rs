//! What threads share: slabs and SuperSlabs, the regions they are cut from, and the way of their memory back to the system.

pub(crate) mod free_runs;
pub(crate) mod pool;
pub(crate) mod purge;
pub(crate) mod region;
pub(crate) mod superslab;

pub(crate) use pool::{Pool, PoolConfig, TICKS};
