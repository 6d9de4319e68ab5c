//! The recorder's beginning: the place of each thread, and what makes the profile be written.

use super::thread::Thread;
use super::{requests, ticks, write};
use crate::os::lock::Lock;
use crate::os::memory::keeping_errno;
use core::ptr;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::*};

/// The pthread key of the threads' places, plus one; 0 before the beginning.
static KEY: AtomicU32 = AtomicU32::new(0);
static STARTING: Lock<()> = Lock::new(());
static PROCESS: AtomicI32 = AtomicI32::new(0);
static TICKS: AtomicU64 = AtomicU64::new(0);
static NANOSECONDS: AtomicU64 = AtomicU64::new(0);

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

/// The process that the recorder began in: a child of a fork is another, with its parent's counts.
pub(super) fn process() -> i32 {
    PROCESS.load(Relaxed)
}

/// Ticks and nanoseconds since the beginning.
pub(super) fn elapsed() -> (u64, u64) {
    let ticks = ticks::now().wrapping_sub(TICKS.load(Relaxed));
    (ticks, ticks::nanoseconds().wrapping_sub(NANOSECONDS.load(Relaxed)))
}

/// Ticks from the beginning to a moment.
pub(super) fn since(moment: u64) -> u64 {
    moment.saturating_sub(TICKS.load(Relaxed))
}

/// Begins, at the first event of the program.
#[cold]
pub(super) fn once() {
    let _starting = STARTING.lock();
    if KEY.load(Relaxed) != 0 {
        return;
    }
    TICKS.store(ticks::now(), Relaxed);
    NANOSECONDS.store(ticks::nanoseconds(), Relaxed);
    write::note_path();
    let mut key = 0;
    keeping_errno(|| {
        // SAFETY: `key` is a place for the result, and the functions are the program's own.
        unsafe {
            PROCESS.store(libc::getpid(), Relaxed);
            libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(after_fork));
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

extern "C" fn before_fork() {
    requests::before_fork();
}

extern "C" fn after_fork() {
    requests::after_fork();
}

/// The end of a thread.
unsafe extern "C" fn leave(place: *mut libc::c_void) {
    // SAFETY: the key holds what `take` put there.
    if let Some(thread) = unsafe { place.cast::<Thread>().as_ref() } {
        thread.leave();
    }
}
