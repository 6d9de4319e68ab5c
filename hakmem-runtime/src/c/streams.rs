//! The C library's list of streams, in a fork.
//!
//! Its `fork` takes the lock of that list behind all handlers, so behind our locks. But a thread that flushes all streams
//! holds it and waits for a stream, whose owner may wait for us: three threads in a circle. glibc's own allocator is locked
//! after the list. A handler that is registered after ours runs before it, and takes the list's lock first; the C library
//! takes it once more, as it may. Where a C library has no such lock to be called, there is nothing to do.

use core::ffi::CStr;
use core::mem::transmute;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// A function of the C library; null where it has none of that name.
struct Function {
    name: &'static CStr,
    address: AtomicPtr<libc::c_void>,
}

static LOCK: Function = Function::new(c"_IO_list_lock");
static UNLOCK: Function = Function::new(c"_IO_list_unlock");
static RESET: Function = Function::new(c"_IO_list_resetlock");

impl Function {
    const fn new(name: &'static CStr) -> Function {
        Function { name, address: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Looks for it, and says whether it is there.
    fn find(&self) -> bool {
        // SAFETY: a string of C's.
        let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, self.name.as_ptr()) };
        self.address.store(address, Ordering::Relaxed);
        !address.is_null()
    }

    fn call(&self) {
        let address = self.address.load(Ordering::Relaxed);
        // SAFETY: all three take nothing and return nothing; the handlers are registered if all were found.
        unsafe { transmute::<*mut libc::c_void, extern "C" fn()>(address)() }
    }
}

/// Has the list's lock taken before a fork, from now on. After the allocator's own handlers are registered.
pub(super) fn hold_in_forks() {
    if LOCK.find() && UNLOCK.find() && RESET.find() {
        // SAFETY: the handlers are functions of the program or library that owns this crate, and stay.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    }
}

extern "C" fn before() {
    LOCK.call();
}

extern "C" fn in_parent() {
    UNLOCK.call();
}

/// Here the C library has begun anew if there were threads, and what it did may be done again.
extern "C" fn in_child() {
    RESET.call();
}
