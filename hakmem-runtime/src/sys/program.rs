//! What the system gives a program: its environment, its exit, its files.

use core::ffi::CStr;

/// The file of messages.
pub(crate) const STANDARD_ERROR: i32 = 2;

/// The value of an environment variable. Valid until the program changes its environment: to be asked for at its start.
pub(crate) fn variable(name: &CStr) -> Option<&'static CStr> {
    // SAFETY: `getenv` returns null or a string of C's; that nobody changes the environment meanwhile is the program's to see to,
    // as with any `getenv`.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value))
    }
}

/// Has `function` called when the program exits.
pub(crate) fn at_exit(function: extern "C" fn()) {
    // SAFETY: the function is part of the program, and is called while the program is still mapped. If there is no
    // memory to register it, it is not called.
    unsafe { libc::atexit(function) };
}

/// Writes to a file; how many bytes, or less than 0 for a failure. It may be called at any time, also in a signal handler.
pub(crate) fn write(file: i32, bytes: &[u8]) -> isize {
    // SAFETY: as many bytes as the slice has can be read.
    unsafe { libc::write(file, bytes.as_ptr().cast(), bytes.len()) }
}
