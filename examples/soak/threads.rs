//! POSIX threads. One of std's that finds no memory for its signal stack ends the program.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The bytes of a thread's stack.
const STACK: usize = 256 << 10;

/// A thread, to be joined.
#[must_use]
#[derive(Debug)]
pub(crate) struct Thread {
    id: libc::pthread_t,
    is_finished: Arc<AtomicBool>,
}

type Body = Box<dyn FnOnce() + Send>;

/// `None`: there is none to be had.
pub(crate) fn spawn(body: impl FnOnce() + Send + 'static) -> Option<Thread> {
    let is_finished = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&is_finished);
    let body: Box<Body> = Box::new(Box::new(move || {
        body();
        ends.store(true, Ordering::Relaxed);
    }));
    let argument = Box::into_raw(body);
    let (mut id, mut attributes) = (0, MaybeUninit::uninit());
    // SAFETY: the attributes are initialised by the first call and then used; `start` takes the box, if it runs.
    unsafe {
        if libc::pthread_attr_init(attributes.as_mut_ptr()) != 0 {
            drop(Box::from_raw(argument));
            return None;
        }
        libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), STACK);
        let error = libc::pthread_create(&raw mut id, attributes.as_ptr(), start, argument.cast());
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        if error != 0 {
            drop(Box::from_raw(argument));
            return None;
        }
    }
    Some(Thread { id, is_finished })
}

/// A thread's main function. What fails has said why, and nothing that follows would prove anything.
extern "C" fn start(body: *mut c_void) -> *mut c_void {
    // SAFETY: the box is `spawn`'s, which has given it away.
    let body = unsafe { Box::from_raw(body.cast::<Body>()) };
    if catch_unwind(AssertUnwindSafe(body)).is_err() {
        // SAFETY: no preconditions.
        unsafe { libc::_exit(101) };
    }
    ptr::null_mut()
}

impl Thread {
    pub(crate) fn is_finished(&self) -> bool {
        self.is_finished.load(Ordering::Relaxed)
    }

    pub(crate) fn join(self) {
        // SAFETY: the thread exists and is joined once.
        let error = unsafe { libc::pthread_join(self.id, ptr::null_mut()) };
        assert_eq!(error, 0, "the thread can be joined");
    }
}
