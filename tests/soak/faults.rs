//! Faults in the system calls of the allocator.

use crate::kernel::{kernel, result};
use libc::{ENOMEM, c_long};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// One call in so many fails; 0 for none.
pub(crate) static FAULTS: AtomicU32 = AtomicU32::new(0);
/// How many calls there were, refused or not.
pub(crate) static CALLS: AtomicU32 = AtomicU32::new(0);
pub(crate) static REFUSED: AtomicU64 = AtomicU64::new(0);

/// Whether this call is one to refuse.
fn refuse() -> bool {
    let one_in = FAULTS.load(Ordering::Relaxed);
    let call = CALLS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9) >> 8;
    let refused = one_in > 0 && call.is_multiple_of(one_in);
    if refused {
        REFUSED.fetch_add(1, Ordering::Relaxed);
    }
    refused
}

/// Stands before the C library's function of that name, through which the allocator calls the kernel. A move to a given
/// place that fails has unmapped what was there, as before Linux 6.17.
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    let may_fail =
        matches!(number, libc::SYS_mmap | libc::SYS_mprotect | libc::SYS_munmap | libc::SYS_madvise | libc::SYS_mremap);
    // SAFETY: the caller's call, passed on, or half of it; `errno` is this thread's own place.
    unsafe {
        let answer = if may_fail && refuse() {
            if number == libc::SYS_mremap && d & c_long::from(libc::MREMAP_FIXED) != 0 {
                kernel(libc::SYS_munmap, [e, c, 0, 0, 0, 0]);
                std::thread::yield_now();
            }
            -c_long::from(ENOMEM)
        } else {
            kernel(number, [a, b, c, d, e, f])
        };
        result(answer)
    }
}
