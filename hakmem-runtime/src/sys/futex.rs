//! Waiting until a word of memory changes.

use super::kernel;
use core::ptr;
use core::sync::atomic::AtomicU32;

/// How long a thread pauses that may not wait, in milliseconds. Whoever waits asks again when it comes back.
const PAUSE: u32 = 1;

/// Waits while `word` holds `value`. May return early.
pub(crate) fn wait(word: &AtomicU32, value: u32) {
    wait_until(word, value, ptr::null());
}

/// [`wait`], for no longer than `milliseconds`.
pub(crate) fn wait_for(word: &AtomicU32, value: u32, milliseconds: u32) {
    let time = time(milliseconds);
    wait_until(word, value, &raw const time);
}

/// `timeout` is as in `call`.
fn wait_until(word: &AtomicU32, value: u32, timeout: *const libc::timespec) {
    let result = call(word, libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, value, timeout);
    // Any other error would come at once and again: a filter refuses the call, or the kernel has no memory for it.
    if !matches!(result, Ok(_) | Err(libc::EAGAIN | libc::EINTR | libc::ETIMEDOUT)) {
        pause();
    }
}

#[cold]
fn pause() {
    let time = time(PAUSE);
    let arguments = [libc::CLOCK_MONOTONIC as usize, 0, (&raw const time).expose_provenance(), 0, 0, 0];
    // SAFETY: the kernel reads the time, a local that outlives the call.
    if unsafe { kernel::call(libc::SYS_clock_nanosleep, arguments) }.is_err() {
        // SAFETY: the call takes no arguments.
        let _ = unsafe { kernel::call(libc::SYS_sched_yield, [0; 6]) };
    }
}

fn time(milliseconds: u32) -> libc::timespec {
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    libc::timespec { tv_sec: seconds.into(), tv_nsec: libc::c_long::from(rest as i32) * 1_000_000 }
}

/// Whether the word at `address` holds `value`, for any address: `false` if nothing can be read there, or the kernel does not
/// say.
pub(crate) fn is_at(address: usize, value: u32) -> bool {
    let no_time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    let arguments = [address, operation as usize, value as usize, ptr::from_ref(&no_time).expose_provenance(), 0, 0];
    // SAFETY: the kernel reads the word, or finds that it cannot, and the timeout, which is a local.
    let result = unsafe { kernel::call(libc::SYS_futex, arguments) };
    // It would have waited.
    result == Err(libc::ETIMEDOUT)
}

/// Wakes up to `count` waiters.
pub(crate) fn wake(word: &AtomicU32, count: u32) {
    let _ = call(word, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, count, ptr::null());
}

/// `timeout` is null (no limit) or points to a live timespec.
fn call(word: &AtomicU32, operation: i32, value: u32, timeout: *const libc::timespec) -> Result<usize, i32> {
    let arguments =
        [word.as_ptr().expose_provenance(), operation as usize, value as usize, timeout.expose_provenance(), 0, 0];
    // SAFETY: the kernel reads the word, which `word` keeps alive, and the timeout, which is null or a local of
    // `wait_for` that outlives the call. It writes to neither.
    unsafe { kernel::call(libc::SYS_futex, arguments) }
}
