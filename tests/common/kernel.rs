//! The kernel, for tests that stand before the C library's `syscall`, through which the allocator calls it.

use libc::c_long;
use std::arch::asm;

/// What `syscall` returns for an answer; `errno` is set.
pub(crate) fn result(answer: c_long) -> c_long {
    if (-4095..0).contains(&answer) {
        // SAFETY: this thread's own place.
        unsafe { *libc::__errno_location() = -answer as i32 };
        return -1;
    }
    answer
}

/// The kernel's answer.
///
/// # Safety
/// As the call's.
pub(crate) unsafe fn kernel(number: c_long, [a, b, c, d, e, f]: [c_long; 6]) -> c_long {
    let result;
    // SAFETY: the caller's call; the kernel writes to the two registers that are named.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Defines the C library's function of that name, through which the allocator calls the kernel. `$answer` takes the number and
/// the arguments, and returns what the kernel would.
macro_rules! stand_before_syscall {
    ($answer:path) => {
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
            // SAFETY: the caller's call.
            $crate::kernel::result(unsafe { $answer(number, [a, b, c, d, e, f]) })
        }
    };
}
pub(crate) use stand_before_syscall;
