//! The start of recording: once in the program, and in each thread.

use super::counters::{self, Thread};
use super::{child, process, profile, timeline};
use crate::sys::signals::{self, Action};
use crate::sys::{errno, libc_safe, program};

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
        let action = Action::once(on_signal);
        SIGNALS.into_iter().for_each(|signal| signals::install_if_default(signal, &action));
    });
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
