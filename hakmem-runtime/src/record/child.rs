//! The child of a `fork`, which starts a profile of its own.
//!
//! The blocks of its parent are in its memory, but they are in the parent's profile. So the child's counters start at
//! zero, and frees of blocks that are older than the fork (by the time in their header) are not counted.

use super::{counters, process, profile, requests, timeline};
use crate::sys::fork;

/// Registers the handlers of `fork`. Called once.
pub(super) fn register() {
    fork::call(before, after, after_in_child);
}

/// Takes every lock of the recorder: in the child, no thread exists that could release one.
extern "C" fn before() {
    process::before_fork();
    requests::before_fork();
    timeline::before_fork();
    profile::before_fork();
}

extern "C" fn after() {
    profile::after_fork();
    timeline::after_fork();
    requests::after_fork();
    process::after_fork();
}

extern "C" fn after_in_child() {
    after();
    process::reset();
    counters::reset();
    requests::reset();
    timeline::reset();
    profile::reset();
}
