//! System calls, made directly.
//!
//! The functions of the C library that do this, `mmap` and its relatives, can be replaced by the program, to log or to
//! count; and its own may allocate, while a lock of this allocator is held. So only `syscall` itself is called here.

#[cfg(not(miri))]
use super::errno;

/// Calls the kernel. Returns its result, or `errno`, which is preserved. The provenance of a pointer among the arguments
/// must have been exposed.
///
/// # Safety
/// As the call's.
#[cfg(not(miri))]
pub(crate) unsafe fn call(number: libc::c_long, arguments: [usize; 6]) -> Result<usize, i32> {
    let [a, b, c, d, e, f] = arguments;
    errno::preserve(|| {
        // SAFETY: the caller's contract. No system call takes more arguments; what it does not take it ignores.
        let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
        if result == -1 { Err(errno::last()) } else { Ok(result as usize) }
    })
}

/// What the interpreter Miri needs of a kernel: memory, and locks. What is unmapped leaks.
///
/// # Safety
/// As the call's.
#[cfg(miri)]
pub(crate) unsafe fn call(number: libc::c_long, [a, b, c, d, _, _]: [usize; 6]) -> Result<usize, i32> {
    use core::ptr;
    // SAFETY: the caller's contract. A mapping is a new allocation, zeroed.
    unsafe {
        match number {
            libc::SYS_mmap if a == 0 => {
                let mut memory = ptr::null_mut();
                match libc::posix_memalign(&raw mut memory, 4096, b) {
                    0 => ptr::write_bytes(memory.cast::<u8>(), 0, b),
                    error => return Err(error),
                }
                Ok(memory.expose_provenance())
            }
            libc::SYS_munmap | libc::SYS_mprotect => Ok(0),
            libc::SYS_madvise if c == libc::MADV_DONTNEED as usize => {
                ptr::write_bytes(ptr::with_exposed_provenance_mut::<u8>(a), 0, b);
                Ok(0)
            }
            libc::SYS_futex => {
                let (word, time) = (ptr::with_exposed_provenance::<u32>(a), ptr::with_exposed_provenance::<u8>(d));
                Ok(libc::syscall(number, word, b as i32, c as u32, time) as usize)
            }
            _ => Err(libc::ENOSYS),
        }
    }
}
