//! The recorder's beginning: the place of each thread, and what makes the profile be written.

use super::thread::Thread;
use super::{in_child, ticks, write};
use crate::sys::lock::Lock;
use crate::sys::mmap::keeping_errno;
use core::ptr;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::*};

/// The pthread key of the threads' places, plus one; 0 before the beginning.
static KEY: AtomicU32 = AtomicU32::new(0);
static STARTING: Lock<()> = Lock::new(());
static PROCESS: AtomicI32 = AtomicI32::new(0);
/// When the process began, in ticks: at its first event, or at the fork.
static BEGINNING: AtomicU64 = AtomicU64::new(0);

/// Signals that end a program, and that it may get in the ordinary course: an abort is a panic under `panic = "abort"`.
const SIGNALS: [i32; 5] = [libc::SIGABRT, libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// What this thread put as its place, or null.
#[inline]
pub(super) fn thread_place() -> *mut libc::c_void {
    match KEY.load(Acquire) {
        0 => ptr::null_mut(),
        // SAFETY: the key exists.
        key => unsafe { libc::pthread_getspecific(key.wrapping_sub(1)) },
    }
}

pub(super) fn set_thread_place(place: *mut libc::c_void) {
    if let Some(key) = KEY.load(Acquire).checked_sub(1) {
        // SAFETY: the key exists; its destructor takes what is put here.
        unsafe { libc::pthread_setspecific(key, place) };
    }
}

/// The process that this profile is of.
pub(super) fn process() -> i32 {
    PROCESS.load(Relaxed)
}

/// When it began, in ticks.
#[inline]
pub(super) fn beginning() -> u64 {
    BEGINNING.load(Relaxed)
}

/// Nanoseconds from the beginning to a moment in ticks.
pub(super) fn since(moment: u64) -> u64 {
    ticks::nanoseconds_of(moment.saturating_sub(beginning()))
}

/// The profile of this process begins now.
pub(super) fn begin() {
    // SAFETY: no preconditions.
    PROCESS.store(unsafe { libc::getpid() }, Relaxed);
    BEGINNING.store(ticks::now(), Relaxed);
}

/// Begins, at the first event of the program.
#[cold]
pub(super) fn once() {
    let _starting = STARTING.lock();
    if KEY.load(Relaxed) != 0 {
        return;
    }
    ticks::calibrate();
    begin();
    write::note_path();
    let mut key = 0;
    keeping_errno(|| {
        in_child::install();
        // SAFETY: `key` is a place for the result, and the functions are the program's own.
        unsafe {
            libc::atexit(at_exit);
            if libc::pthread_key_create(&raw mut key, Some(leave)) == 0 {
                KEY.store(key.wrapping_add(1), Release);
            }
        }
        SIGNALS.into_iter().for_each(watch);
    });
}

/// Has the profile written on a signal, unless the program was told to ignore it.
fn watch(signal: i32) {
    // SAFETY: zero is a valid sigaction; both pointers are to such.
    unsafe {
        let mut old: libc::sigaction = core::mem::zeroed();
        if libc::sigaction(signal, ptr::null(), &raw mut old) == 0 && old.sa_sigaction == libc::SIG_DFL {
            let mut new: libc::sigaction = core::mem::zeroed();
            let handler: extern "C" fn(i32) = on_signal;
            new.sa_sigaction = handler as usize;
            // The second time the signal does what it does by default.
            new.sa_flags = libc::SA_RESETHAND | libc::SA_NODEFER;
            libc::sigaction(signal, &raw const new, ptr::null_mut());
        }
    }
}

extern "C" fn on_signal(signal: i32) {
    write::profile();
    // SAFETY: the handler is gone by now; the signal ends the program.
    unsafe { libc::raise(signal) };
}

extern "C" fn at_exit() {
    write::profile();
}

/// Locks the beginning for the length of a fork.
pub(super) fn before_fork() {
    STARTING.hold_for_fork();
}

/// Unlocks it on both sides.
pub(super) fn after_fork() {
    STARTING.release_after_fork();
}

/// The end of a thread.
unsafe extern "C" fn leave(place: *mut libc::c_void) {
    // SAFETY: the key holds what `take` put there.
    if let Some(thread) = unsafe { place.cast::<Thread>().as_ref() } {
        thread.leave();
    }
}
