//! `fork`: the child begins a profile of its own, of what it allocates itself.
//!
//! Its parent's blocks are in its memory, too, but it is for the parent to tell of them. So the child's counters begin at
//! zero, and what becomes of a block from before the fork is no event: the time in its header says so.

use super::{requests, start, thread, timeline, write};

/// Has the handlers called. At the beginning, once.
pub(super) fn install() {
    // SAFETY: the handlers are functions of the program that owns this crate.
    unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after_in_child)) };
}

/// Takes every lock, so that the child inherits none from a thread that it does not have.
extern "C" fn before() {
    start::before_fork();
    requests::before_fork();
    timeline::before_fork();
    write::before_fork();
}

extern "C" fn after() {
    write::after_fork();
    timeline::after_fork();
    requests::after_fork();
    start::after_fork();
}

extern "C" fn after_in_child() {
    after();
    start::begin();
    thread::forget();
    requests::forget();
    timeline::forget();
    write::forget();
}
