//! Waiting on a word of memory.

use super::memory::keeping_errno;
use core::sync::atomic::AtomicU32;

/// Waits while `word` holds `value`; may return early.
pub(crate) fn wait(word: &AtomicU32, value: u32) {
    call(word, libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, value);
}

/// Wakes up to `count` of those who wait.
pub(crate) fn wake(word: &AtomicU32, count: u32) {
    call(word, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, count);
}

fn call(word: &AtomicU32, operation: i32, value: u32) {
    // SAFETY: the word outlives the call; a null timeout waits without end.
    keeping_errno(|| unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, core::ptr::null::<libc::timespec>())
    });
}
