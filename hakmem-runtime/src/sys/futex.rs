//! Waiting until a word of memory changes.

use super::kernel;
use core::ptr;
use core::sync::atomic::AtomicU32;

/// Waits while `word` holds `value`. May return early.
pub(crate) fn wait(word: &AtomicU32, value: u32) {
    call(word, libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, value, ptr::null());
}

/// [`wait`], for no longer than `milliseconds`.
pub(crate) fn wait_for(word: &AtomicU32, value: u32, milliseconds: u32) {
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    let time = libc::timespec { tv_sec: seconds.into(), tv_nsec: libc::c_long::from(rest as i32) * 1_000_000 };
    call(word, libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, value, &raw const time);
}

/// Wakes up to `count` waiters.
pub(crate) fn wake(word: &AtomicU32, count: u32) {
    call(word, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, count, ptr::null());
}

/// `timeout` is null (no limit) or points to a live timespec.
fn call(word: &AtomicU32, operation: i32, value: u32, timeout: *const libc::timespec) {
    let arguments =
        [word.as_ptr().expose_provenance(), operation as usize, value as usize, timeout.expose_provenance(), 0, 0];
    // SAFETY: the kernel reads the word, which `word` keeps alive, and the timeout, which is null or a local of
    // `wait_for` that outlives the call. It writes to neither.
    let _ = unsafe { kernel::call(libc::SYS_futex, arguments) };
}
