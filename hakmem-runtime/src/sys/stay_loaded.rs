//! A library with this code in it stays loaded after a `dlclose`.
//!
//! The C library calls the destructors of pthread keys at the end of each thread, and workers run until the process ends.
//! Both are code of the library. To delete the key and stop the workers when the library is unloaded would not do: other
//! threads have blocks in their thread caches, which are in their thread-local memory, and blocks of the library may
//! still be in use elsewhere. A second `dlopen` finds the library as it was, so loading it again and again takes nothing.

use core::ffi::{c_int, c_void};
use core::{ptr, slice};

#[used]
// SAFETY: the section holds pointers to functions that the C library calls, with arguments that `at_start` ignores.
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = at_start;

extern "C" fn at_start() {
    let here = at_start as *const c_void;
    // (Miri has no loader.)
    if !cfg!(miri) && !is_in_program(here) {
        pin(here);
    }
}

/// Whether an address is in the program itself, which is never unloaded, and not in a library.
fn is_in_program(address: *const c_void) -> bool {
    /// Called for the program first, and not again.
    extern "C" fn look(info: &libc::dl_phdr_info, _: usize, search: &mut Search) -> c_int {
        // SAFETY: the C library passes the description of a loaded object, with as many headers as it says.
        let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
        search.found = headers.iter().any(|header| {
            let start = info.dlpi_addr.wrapping_add(header.p_vaddr) as usize;
            search.address.wrapping_sub(start) < header.p_memsz as usize
        });
        1
    }

    let mut search = Search { address: address.addr(), found: false };
    dl_iterate_phdr(look, &mut search);
    search.found
}

/// An address, and whether it is in the program.
#[repr(C)]
struct Search {
    address: usize,
    found: bool,
}

// SAFETY: the signature of the C library, with the types of what it passes to `look`: a description that is valid for the
// call, and `search`, which nobody else uses meanwhile. References have the ABI of pointers, and it keeps neither.
unsafe extern "C" {
    safe fn dl_iterate_phdr(
        look: extern "C" fn(&libc::dl_phdr_info, usize, &mut Search) -> c_int,
        search: &mut Search,
    ) -> c_int;
}

/// Has the loader never unload the library that `here` is in. A static program, which has no loader, has none.
fn pin(here: *const c_void) {
    if cfg!(target_feature = "crt-static") {
        return;
    }
    let mut info = libc::Dl_info {
        dli_fname: ptr::null(),
        dli_fbase: ptr::null_mut(),
        dli_sname: ptr::null(),
        dli_saddr: ptr::null_mut(),
    };
    // SAFETY: `info` is valid for writes; the name that `dladdr` stores is a C string. With `RTLD_NOLOAD`, `dlopen` loads
    // nothing and runs no code of the library.
    unsafe {
        if libc::dladdr(here, &raw mut info) != 0 && !info.dli_fname.is_null() {
            libc::dlopen(info.dli_fname, libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE);
        }
    }
}
