//! The operating system, and nothing above it: memory, time, waiting, dying.

pub(crate) mod arena;
pub(crate) mod clock;
pub(crate) mod die;
pub(crate) mod futex;
pub(crate) mod lock;
pub(crate) mod memory;
pub(crate) mod registry;
pub(crate) mod word;
