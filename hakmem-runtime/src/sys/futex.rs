//! Waiting on a word of memory.

use super::mmap::keeping_errno;
use core::ptr;
use core::sync::atomic::AtomicU32;

/// Waits while `word` holds `value`; may return early.
pub(crate) fn wait(word: &AtomicU32, value: u32) {
    call(word, libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, value, ptr::null());
}

/// The same, no longer than `milliseconds`.
pub(crate) fn wait_for(word: &AtomicU32, value: u32, milliseconds: u32) {
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    let time = libc::timespec { tv_sec: seconds.into(), tv_nsec: libc::c_long::from(rest as i32) * 1_000_000 };
    call(word, libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, value, &raw const time);
}

/// Wakes up to `count` of those who wait.
pub(crate) fn wake(word: &AtomicU32, count: u32) {
    call(word, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, count, ptr::null());
}

fn call(word: &AtomicU32, operation: i32, value: u32, timeout: *const libc::timespec) {
    // SAFETY: the word and the timeout outlive the call; a null timeout waits without end.
    keeping_errno(|| unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, timeout) });
}
