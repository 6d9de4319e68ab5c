//! `fork`, with an alarm for what hangs.

/// No fork and no exit takes longer that does not hang, however busy the machine is.
const LONGEST: u32 = 900;

/// Ends this process, with the alarm's signal, if it hangs.
pub(crate) fn watchdog() {
    // SAFETY: alarm has no preconditions.
    unsafe { libc::alarm(LONGEST) };
}

/// Forks; `child` ends the child with 0 if it returns.
pub(crate) fn fork(child: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child allocates, which is what is under test, and ends below.
    match unsafe { libc::fork() } {
        0 => {
            watchdog();
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
            // SAFETY: _exit has no preconditions.
            unsafe { libc::_exit(i32::from(outcome.is_err())) };
        }
        process => {
            assert!(process > 0, "no process to be had");
            process
        }
    }
}

/// Waits for a child, which must have ended well.
pub(crate) fn reap(process: libc::pid_t) {
    let status = status(process);
    assert_eq!(status, 0, "the child ended with status {status:#x}");
}

/// Waits for a child. Returns how it ended.
pub(crate) fn status(process: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: `status` is a place for the result.
    assert_eq!(unsafe { libc::waitpid(process, &raw mut status, 0) }, process);
    status
}
