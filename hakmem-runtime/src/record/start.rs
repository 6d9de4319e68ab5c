//! The start of recording: once in the program, and in each thread.

use super::counters::{self, Thread};
use super::{child, process, profile, timeline};
use crate::sys::{errno, libc_safe, program};
use core::ptr;

/// Signals by which programs usually end. `SIGABRT` is one: a panic raises it under `panic = "abort"`.
const SIGNALS: [i32; 5] = [libc::SIGABRT, libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// The calling thread's counters. `None`: there is no memory for them, and nothing is recorded.
#[inline]
pub(super) fn current_thread() -> Option<&'static Thread> {
    counters::current().or_else(start_thread)
}

#[cold]
fn start_thread() -> Option<&'static Thread> {
    process::start_once(set_up);
    counters::acquire()
}

/// Registers what writes the profile, and the handlers of thread exits and forks.
fn set_up() {
    profile::set_path();
    errno::preserve(|| {
        child::register();
        counters::create_key(thread_exited);
        program::at_exit(at_exit);
        SIGNALS.into_iter().for_each(handle_signal);
    });
}

/// Has the profile written on a signal, unless the program handles or ignores it.
fn handle_signal(signal: i32) {
    // SAFETY: `sigaction` is a C struct of integers and a nullable function pointer, for all of which zero is valid.
    // Both calls get pointers to such structs or null, and the handler is a function with the signature that the flags
    // ask for.
    unsafe {
        let mut old: libc::sigaction = core::mem::zeroed();
        if libc::sigaction(signal, ptr::null(), &raw mut old) == 0 && old.sa_sigaction == libc::SIG_DFL {
            let mut new: libc::sigaction = core::mem::zeroed();
            let handler: extern "C" fn(i32) = on_signal;
            new.sa_sigaction = handler as usize;
            // Resets the signal to its default action when the handler is called, and does not block it meanwhile.
            new.sa_flags = libc::SA_RESETHAND | libc::SA_NODEFER;
            libc::sigaction(signal, &raw const new, ptr::null_mut());
        }
    }
}

extern "C" fn on_signal(signal: i32) {
    profile::write();
    // The default action is in force again, and ends the process.
    libc_safe::raise(signal);
}

extern "C" fn at_exit() {
    profile::write();
}

extern "C" fn thread_exited(thread: &'static Thread) {
    timeline::add(thread.publish());
    thread.vacate();
}
