//! Faults in the system calls of the allocator.

use crate::kernel::{kernel, stand_before_syscall};
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

stand_before_syscall!(answer);

/// The kernel's answer, or a refusal. A move to a given place that fails has unmapped what was there, as before Linux 6.17.
///
/// # Safety
/// As the call's.
unsafe fn answer(number: c_long, arguments: [c_long; 6]) -> c_long {
    let may_fail =
        matches!(number, libc::SYS_mmap | libc::SYS_mprotect | libc::SYS_munmap | libc::SYS_madvise | libc::SYS_mremap);
    let [_, _, length, flags, target, _] = arguments;
    // SAFETY: the caller's call, passed on, or half of it.
    unsafe {
        if may_fail && refuse() {
            if number == libc::SYS_mremap && flags & c_long::from(libc::MREMAP_FIXED) != 0 {
                kernel(libc::SYS_munmap, [target, length, 0, 0, 0, 0]);
                std::thread::yield_now();
            }
            -c_long::from(ENOMEM)
        } else {
            kernel(number, arguments)
        }
    }
}
