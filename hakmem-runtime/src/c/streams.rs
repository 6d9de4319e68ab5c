//! Holds the lock of the C library's list of streams during a fork.
//!
//! glibc's `fork` takes that lock after it has called all handlers, when ours hold the allocator's locks. This can
//! deadlock: a thread that flushes all streams holds the list's lock and waits for one stream, and the owner of
//! that stream waits for the allocator. (glibc's own allocator is locked after the list.) So the list's lock is taken before
//! ours. It is recursive, so that `fork` can take it again. A C library without such functions needs nothing.

use crate::sys::fork::{self, Early, EarlyHook};
use crate::sys::program::{self, Lookup};
use core::ffi::CStr;
use core::mem::transmute;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// A function of the C library without parameters and result.
struct Function {
    name: &'static CStr,
    /// Null before `find`, or if the C library has no such function.
    address: AtomicPtr<libc::c_void>,
}

static LOCK: Function = Function::new(c"_IO_list_lock");
static UNLOCK: Function = Function::new(c"_IO_list_unlock");
static RESET: Function = Function::new(c"_IO_list_resetlock");

impl Function {
    const fn new(name: &'static CStr) -> Function {
        Function { name, address: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Looks the function up. Whether the C library has it.
    fn find(&self) -> bool {
        let address = program::function(self.name, Lookup::Everywhere);
        self.address.store(address, Ordering::Relaxed);
        !address.is_null()
    }

    /// Calls the function, which was found.
    fn call(&self) {
        let address = self.address.load(Ordering::Relaxed);
        // SAFETY: the address is not null and was stored before: the handlers that call this are registered after all
        // three functions were found. In the C library they are `void (void)`.
        unsafe { transmute::<*mut libc::c_void, extern "C" fn()>(address)() }
    }
}

/// From now on takes the list's lock before each fork.
pub(super) fn hold_in_forks() {
    static HOOK: EarlyHook = EarlyHook {
        hold: || LOCK.call(),
        release_in_parent: || UNLOCK.call(),
        // The child has one thread, so the lock is reset. If the parent had several threads, the C library has done so already.
        release_in_child: || RESET.call(),
    };
    if LOCK.find() && UNLOCK.find() && RESET.find() {
        fork::set_early_hook(Early::Streams, &HOOK);
    }
}
