//! `errno` belongs to the program: an allocation that succeeds must not change it.

use core::cell::Cell;

/// Runs `call` and restores `errno` afterwards.
pub(crate) fn preserve<T>(call: impl FnOnce() -> T) -> T {
    let errno = errno();
    let before = errno.get();
    let result = call();
    errno.set(before);
    result
}

/// This thread's `errno`.
#[cfg_attr(miri, expect(dead_code, reason = "it has no such kernel"))]
pub(crate) fn last() -> i32 {
    errno().get()
}

/// Sets this thread's `errno`, to report a failure to the program.
pub(crate) fn set(error: i32) {
    errno().set(error);
}

fn errno<'a>() -> &'a Cell<i32> {
    // SAFETY: `__errno_location` returns the address of the calling thread's own `errno`: an aligned i32 that lives as
    // long as the thread. `Cell<i32>` has its layout, and is not `Send`, so the reference stays on this thread, in this
    // module.
    unsafe { &*libc::__errno_location().cast::<Cell<i32>>() }
}
