//! The process: its environment, exit handlers and files.

use super::libc_safe;
use core::ffi::{CStr, c_void};
use core::sync::atomic::AtomicU8;

/// The file descriptor of standard error.
pub(crate) const STANDARD_ERROR: i32 = 2;

/// The value of an environment variable. Valid until the program changes its environment, so for use at its start.
pub(crate) fn variable(name: &CStr) -> Option<&'static CStr> {
    // SAFETY: `getenv` returns null or a C string. That no other thread changes the environment is up to the program,
    // as with any `getenv`; `std::env::set_var` is `unsafe` for this reason.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value))
    }
}

/// Where to look for a function.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lookup {
    /// In the program and all libraries.
    Everywhere,
    /// In the libraries after the one with this code.
    AfterThis,
}

/// The address of the first function of that name; null if there is none. A static program has none.
pub(crate) fn function(name: &CStr, lookup: Lookup) -> *mut c_void {
    let handle = match lookup {
        Lookup::Everywhere => libc::RTLD_DEFAULT,
        Lookup::AfterThis => libc::RTLD_NEXT,
    };
    // SAFETY: a handle that every program has, and a C string.
    unsafe { libc::dlsym(handle, name.as_ptr()) }
}

/// A variable of the C library that is one byte; `None` if it has none of that name.
pub(crate) fn byte(name: &CStr) -> Option<&'static AtomicU8> {
    // SAFETY: null, or the address of a byte that stays as long as the C library. It is written to by nobody at the same time
    // as by another, and read as other code reads it.
    unsafe { function(name, Lookup::Everywhere).cast::<AtomicU8>().as_ref() }
}

/// Registers a function to be called when the program exits.
pub(crate) fn at_exit(function: extern "C" fn()) {
    // If there is no memory to register it, it is not called.
    libc_safe::atexit(function);
}

/// Writes to a file descriptor. Returns how many bytes were written, or -1. Async-signal-safe.
pub(crate) fn write(file: i32, bytes: &[u8]) -> isize {
    // SAFETY: the kernel reads `bytes.len()` bytes from the slice, which is borrowed for the call.
    unsafe { libc::write(file, bytes.as_ptr().cast(), bytes.len()) }
}
