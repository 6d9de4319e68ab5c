//! Waiting until a word of memory changes.

use super::{kernel, libc_safe};
use core::ptr;
use core::sync::atomic::AtomicU32;

/// How long a thread pauses that may not wait, in milliseconds. Whoever waits asks again when it comes back.
const PAUSE: u32 = 1;

/// Waits while `word` holds `value`. May return early.
pub(crate) fn wait(word: &AtomicU32, value: u32) {
    wait_until(word, value, None);
}

/// [`wait`], for no longer than `milliseconds`.
pub(crate) fn wait_for(word: &AtomicU32, value: u32, milliseconds: u32) {
    wait_until(word, value, Some(&time(milliseconds)));
}

fn wait_until(word: &AtomicU32, value: u32, timeout: Option<&libc::timespec>) {
    let result = call(word.as_ptr().expose_provenance(), libc::FUTEX_WAIT, value, timeout);
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
        libc_safe::sched_yield();
    }
}

fn time(milliseconds: u32) -> libc::timespec {
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    libc::timespec { tv_sec: seconds.into(), tv_nsec: libc::c_long::from(rest as i32) * 1_000_000 }
}

/// Whether the word at `address` holds `value`, for any address: `false` if nothing can be read there, or the kernel does not
/// say.
pub(crate) fn is_at(address: usize, value: u32) -> bool {
    // It would have waited.
    call(address, libc::FUTEX_WAIT, value, Some(&time(0))) == Err(libc::ETIMEDOUT)
}

/// Wakes up to `count` waiters.
pub(crate) fn wake(word: &AtomicU32, count: u32) {
    let _ = call(word.as_ptr().expose_provenance(), libc::FUTEX_WAKE, count, None);
}

/// Waits or wakes, at any address.
fn call(address: usize, operation: i32, value: u32, timeout: Option<&libc::timespec>) -> Result<usize, i32> {
    let operation = operation | libc::FUTEX_PRIVATE_FLAG;
    let timeout = timeout.map_or(0, |time| ptr::from_ref(time).expose_provenance());
    let arguments = [address, operation as usize, value as usize, timeout, 0, 0];
    // SAFETY: the kernel writes nothing. It reads the timeout, if there is one, which is borrowed; and the word, or finds
    // that it cannot.
    unsafe { kernel::call(libc::SYS_futex, arguments) }
}
