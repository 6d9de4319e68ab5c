//! The operating system: memory, time, locks, shared references, threads, fences, fork, the environment, and fatal errors.
//! Imports nothing else of this crate.

pub(crate) mod atomic_ref;
pub(crate) mod atomic_word;
pub(crate) mod clock;
pub(crate) mod errno;
pub(crate) mod fatal;
pub(crate) mod fork;
pub(crate) mod futex;
mod kernel;
pub(crate) mod leftover;
pub(crate) mod libc_safe;
pub(crate) mod lock;
pub(crate) mod lock_word;
pub(crate) mod membarrier;
pub(crate) mod mmap;
pub(crate) mod program;
pub(crate) mod signals;
mod stay_loaded;
pub(crate) mod thread;
pub(crate) mod thread_key;
