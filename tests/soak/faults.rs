//! Faults in the system calls of this program, the allocator's among them.

use libc::{ENOMEM, c_int, c_long, c_void, off_t, size_t};
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// One call in so many fails; 0 for none.
pub(crate) static FAULTS: AtomicU32 = AtomicU32::new(0);
static CALLS: AtomicU32 = AtomicU32::new(0);
pub(crate) static REFUSED: AtomicU64 = AtomicU64::new(0);

/// Whether this call is one to refuse. `errno` says so, too.
fn refuse() -> bool {
    let one_in = FAULTS.load(Ordering::Relaxed);
    let call = CALLS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9) >> 8;
    let refused = one_in > 0 && call.is_multiple_of(one_in);
    if refused {
        REFUSED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: this thread's own place.
        unsafe { *libc::__errno_location() = ENOMEM };
    }
    refused
}

/// Stands before the C library's function of that name, for the allocator as for all of this program.
macro_rules! fallible {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty, $call:ident, $failed:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            if refuse() {
                return $failed;
            }
            // SAFETY: the caller's call, passed on.
            unsafe { answer(libc::syscall(libc::$call, $($argument),*)) }
        }
    )*};
}

trait Answer {
    fn from(result: c_long) -> Self;
}

impl Answer for *mut c_void {
    fn from(result: c_long) -> Self {
        ptr::with_exposed_provenance_mut(result as usize)
    }
}

impl Answer for c_int {
    fn from(result: c_long) -> Self {
        result as c_int
    }
}

fn answer<T: Answer>(result: c_long) -> T {
    T::from(result)
}

fallible! {
    mmap(at: *mut c_void, length: size_t, access: c_int, flags: c_int, file: c_int, offset: off_t) -> *mut c_void,
        SYS_mmap, libc::MAP_FAILED;
    mprotect(at: *mut c_void, length: size_t, access: c_int) -> c_int, SYS_mprotect, -1;
    munmap(at: *mut c_void, length: size_t) -> c_int, SYS_munmap, -1;
    madvise(at: *mut c_void, length: size_t, advice: c_int) -> c_int, SYS_madvise, -1;
}

/// As the others; but a move to a given place that fails has unmapped what was there, as before Linux 6.17.
#[unsafe(no_mangle)]
unsafe extern "C" fn mremap(at: *mut c_void, old: size_t, new: size_t, flags: c_int, to: *mut c_void) -> *mut c_void {
    // SAFETY: the caller's call, passed on, or half of it.
    unsafe {
        if refuse() {
            if flags & libc::MREMAP_FIXED != 0 {
                libc::syscall(libc::SYS_munmap, to, new);
                std::thread::yield_now();
                *libc::__errno_location() = ENOMEM;
            }
            return libc::MAP_FAILED;
        }
        answer(libc::syscall(libc::SYS_mremap, at, old, new, flags, to))
    }
}
