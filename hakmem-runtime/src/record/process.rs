//! The process that is recorded, and the start of the recording.

use super::ticks;
use crate::sys::libc_safe;
use crate::sys::lock::Lock;
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering::*};

/// 0 before the recording has started.
static ID: AtomicI32 = AtomicI32::new(0);
/// The time of the first event, or of the fork, in ticks.
static START: AtomicU64 = AtomicU64::new(0);
/// Whether `start_once` has run.
static STARTED: Lock<bool> = Lock::new(false);

/// The id of the calling process.
pub(super) fn current_id() -> i32 {
    libc_safe::getpid()
}

/// The id of the process that the counters belong to. A child of `vfork` or `clone` has another.
pub(super) fn id() -> i32 {
    ID.load(Relaxed)
}

/// When the recording started, in ticks.
#[inline]
pub(super) fn start() -> u64 {
    START.load(Relaxed)
}

/// Nanoseconds from the start to a moment in ticks.
pub(super) fn since_start(moment: u64) -> u64 {
    ticks::nanoseconds_of(moment.saturating_sub(start()))
}

/// Runs `set_up` on the first call in a program, after the recording has started. Other threads wait for it.
pub(super) fn start_once(set_up: impl FnOnce()) {
    let mut started = STARTED.lock();
    if !*started {
        ticks::calibrate();
        start_now();
        set_up();
        *started = true;
    }
}

fn start_now() {
    ID.store(current_id(), Relaxed);
    START.store(ticks::now(), Relaxed);
}

/// Holds the lock for a fork.
pub(super) fn before_fork() {
    STARTED.hold_for_fork();
}

/// Releases it on both sides.
pub(super) fn after_fork() {
    STARTED.release_after_fork();
}

/// In the child of a fork: the recording starts now.
pub(super) fn reset() {
    start_now();
}
