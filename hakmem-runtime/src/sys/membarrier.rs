//! A fence on every processor that runs this process, at the cost of a system call here and of nothing there.

use super::kernel::call;
use core::sync::atomic::{AtomicBool, Ordering, compiler_fence, fence};

/// From `linux/membarrier.h`.
const PRIVATE_EXPEDITED: i32 = 1 << 3;
const REGISTER_PRIVATE_EXPEDITED: i32 = 1 << 4;

/// The kernel has no such call, or does not permit it.
static MISSING: AtomicBool = AtomicBool::new(false);

fn membarrier(command: i32) -> bool {
    // SAFETY: the call reads no memory. On an error it does nothing.
    unsafe { call(libc::SYS_membarrier, [command as usize, 0, 0, 0, 0, 0]) }.is_ok()
}

/// Registers the process for the call, if it has not been. In a process of one thread this takes no time; in others the
/// kernel waits for all processors, some milliseconds.
pub(crate) fn register() {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if !REGISTERED.swap(true, Ordering::Relaxed) && !membarrier(REGISTER_PRIVATE_EXPEDITED) {
        MISSING.store(true, Ordering::Relaxed);
    }
}

/// Every other thread of this process executes a full fence between its instructions before this call and those after it.
/// `false`: it does not, as the kernel cannot do it.
pub(crate) fn everywhere() -> bool {
    if MISSING.load(Ordering::Relaxed) {
        return false;
    }
    fence(Ordering::SeqCst);
    // It fails if another thread has begun to register the process and is not done yet.
    membarrier(PRIVATE_EXPEDITED)
}

/// The part of a thread that [`everywhere`] may be called beside: the compiler keeps the order, and the processor does so
/// when it matters.
#[inline(always)]
pub(crate) fn here() {
    compiler_fence(Ordering::SeqCst);
}
