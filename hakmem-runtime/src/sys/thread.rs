//! POSIX threads.

use super::program::{self, Lookup};
use super::{errno, libc_safe};
use core::mem::{self, MaybeUninit};
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// The calling thread's `pthread_t`, the same in a forked child. The C library has an aligned structure at this
/// address, so the low bits are 0.
pub(crate) fn current() -> usize {
    libc_safe::pthread_self() as usize
}

/// The signals of a thread's own mistakes. Were they blocked, the kernel would end the program without calling its handlers.
const OWN: [i32; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGABRT, libc::SIGILL, libc::SIGFPE];

/// The main function of a thread, which gets what was passed to [`spawn`] and returns null.
pub(crate) type Main<T> = extern "C" fn(&'static T) -> *mut libc::c_void;

/// Starts a thread with all other signals blocked, so that the program's own threads take them. `false`: the system has no
/// more threads.
pub(crate) fn spawn<T: Sync>(run: Main<T>, argument: &'static T, stack: usize) -> bool {
    let argument = ptr::from_ref(argument).cast_mut().cast();
    // SAFETY: each place passed for a result is a live local, and each is read only after the call that fills it: the
    // signal sets after `sigfillset`, which cannot fail, nor can `sigdelset`, and `pthread_sigmask`, if that succeeded; the
    // attributes if their initialisation did. `run` is called with `argument`, which was a `&'static T` that threads may
    // share; references and pointers to a sized type have the same ABI.
    errno::preserve(|| unsafe {
        let run = mem::transmute::<Main<T>, extern "C" fn(*mut libc::c_void) -> *mut libc::c_void>(run);
        let (mut attributes, mut thread) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        let (mut all, mut old) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        libc::sigfillset(all.as_mut_ptr());
        OWN.iter().for_each(|signal| {
            libc::sigdelset(all.as_mut_ptr(), *signal);
        });
        let masked = libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr()) == 0;
        let mut started = false;
        if libc::pthread_attr_init(attributes.as_mut_ptr()) == 0 {
            libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack);
            started = libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), run, argument) == 0;
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
        }
        // The C library takes the thread-local memory out of the stack, which may be too small. Then the default size.
        started = started || libc::pthread_create(thread.as_mut_ptr(), ptr::null(), run, argument) == 0;
        if masked {
            libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), ptr::null_mut());
        }
        started
    })
}

type Create =
    unsafe extern "C" fn(*mut libc::c_void, *mut libc::c_void, *mut libc::c_void, *mut libc::c_void) -> libc::c_int;

/// The C library's `pthread_create`, for the allocator's own function of this name.
///
/// # Safety
/// The arguments are those of `pthread_create`.
pub unsafe fn create([thread, attributes, run, argument]: [*mut libc::c_void; 4]) -> i32 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let mut next = NEXT.load(Ordering::Relaxed);
    if next == 0 {
        next = program::function(c"pthread_create", Lookup::AfterThis).expose_provenance();
        NEXT.store(next, Ordering::Relaxed);
    }
    if next == 0 {
        // A static program has no other.
        return libc::EAGAIN;
    }
    // SAFETY: the symbol's address is that of the C library's function, or of one that stands before it, too; the
    // arguments are the caller's.
    unsafe {
        let next = mem::transmute::<*const (), Create>(ptr::with_exposed_provenance(next));
        next(thread, attributes, run, argument)
    }
}

/// Joins a thread, given as by [`current`].
///
/// # Safety
/// The thread was started by [`spawn`], and is joined once.
pub(crate) unsafe fn join(thread: usize) {
    // SAFETY: the caller promises a joinable thread that nobody else joins. No result is asked for.
    unsafe { libc::pthread_join(thread as libc::pthread_t, ptr::null_mut()) };
}
