//! System calls, made directly.
//!
//! The functions of the C library that do this, `mmap` and its relatives, can be replaced by the program, to log or to
//! count; and its own may allocate, while a lock of this allocator is held. So only `syscall` itself is called here.

use super::errno;

/// Calls the kernel. Returns its result, or `errno`, which is preserved.
///
/// # Safety
/// As the call's.
pub(crate) unsafe fn call(number: libc::c_long, arguments: [usize; 6]) -> Result<usize, i32> {
    let [a, b, c, d, e, f] = arguments;
    errno::preserve(|| {
        // SAFETY: the caller's contract. No system call takes more arguments; what it does not take it ignores.
        let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
        if result == -1 { Err(errno::last()) } else { Ok(result as usize) }
    })
}
