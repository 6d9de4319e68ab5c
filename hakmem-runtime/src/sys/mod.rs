//! The operating system: memory, time, waiting, the abort line, fork. Imports nothing of this crate above it.

pub(crate) mod clock;
pub(crate) mod fatal;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod lock;
pub(crate) mod mmap;
