//! Functions of the C library that anybody may call with any arguments: the crate `libc` declares every function as unsafe.

use libc::{c_int, c_long, clockid_t, pthread_t, timespec};

// SAFETY: these are the signatures of POSIX; a reference has the ABI of a pointer. None of these functions asks anything of
// its caller. They take numbers, for which they return an error if they do not know them; `clock_gettime` writes to the
// `timespec` that it borrows, all of it or nothing; `setrlimit` reads the
// limit that it borrows; and the functions that are registered can be called at any time: an `extern "C" fn` is in the
// program, or in a library which the C library keeps loaded or whose handlers it removes.
unsafe extern "C" {
    pub(super) safe fn abort() -> !;
    pub(super) safe fn atexit(function: extern "C" fn()) -> c_int;
    pub(super) safe fn clock_gettime(clock: clockid_t, time: &mut timespec) -> c_int;
    pub(super) safe fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> c_int;
    pub(super) safe fn pthread_self() -> pthread_t;
    pub(super) safe fn sched_yield() -> c_int;
    pub(super) safe fn sysconf(name: c_int) -> c_long;
    pub(crate) safe fn getpid() -> libc::pid_t;
    pub(super) safe fn gettid() -> libc::pid_t;

    #[cfg(test)]
    pub(super) safe fn setrlimit(resource: libc::__rlimit_resource_t, limit: &libc::rlimit) -> c_int;
    pub(crate) safe fn raise(signal: c_int) -> c_int;
}
