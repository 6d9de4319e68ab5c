//! The allocator in force, and the proof that it is.
//!
//! Each allocator is asked about blocks that `Box` has made, as far as it answers such questions; and of all but
//! the system's, the C library must not have noticed anything. (With two allocators at a time this does not compile.)

/// Boxes of 64 B that are alive while the question is asked.
const BOXES: usize = 100;

/// The name and version of the allocator that std's `Box` uses, and how that is known; an error if it is not so.
pub(crate) fn proof() -> Result<String, String> {
    let before = allocated_by_libc();
    let mut boxes: [Option<Box<[u8; 64]>>; BOXES] = [const { None }; BOXES];
    for place in &mut boxes {
        *place = Some(Box::new([1; 64]));
    }
    let noticed = allocated_by_libc() - before;
    let mut said = None;
    for block in boxes.iter().flatten() {
        said = Some(subject::owns(block.as_ptr())?);
    }
    let by_libc = noticed >= BOXES * 64;
    if by_libc != subject::BY_LIBC {
        return Err(format!("the C library has allocated {noticed} bytes for {BOXES} boxes of 64"));
    }
    Ok(format!("{}; libc: {noticed} bytes for {BOXES} boxes of 64", said.unwrap_or_default()))
}

/// Bytes that `malloc` has handed out.
fn allocated_by_libc() -> usize {
    // SAFETY: the call only reads glibc's own state.
    unsafe { libc::mallinfo2() }.uordblks
}

#[cfg(feature = "on-hakmem")]
mod subject {
    hakmem::allocator! {
        /// The default spec.
        pub(crate) struct Heap;
    }

    #[global_allocator]
    static GLOBAL: Heap = Heap;

    pub(crate) const BY_LIBC: bool = false;

    pub(crate) fn owns(block: *const u8) -> Result<String, String> {
        if Heap::owns(block) { Ok("hakmem: Heap::owns".to_owned()) } else { Err("Heap does not own it".to_owned()) }
    }
}

#[cfg(feature = "on-mimalloc")]
mod subject {
    use mimalloc::MiMalloc;

    #[global_allocator]
    static GLOBAL: MiMalloc = MiMalloc;

    pub(crate) const BY_LIBC: bool = false;

    const MAJOR: i32 = if cfg!(feature = "on-mimalloc-v2") { 2 } else { 3 };

    pub(crate) fn owns(block: *const u8) -> Result<String, String> {
        // SAFETY: neither call has a precondition.
        let (version, ours) =
            unsafe { (libmimalloc_sys::mi_version(), libmimalloc_sys::mi_is_in_heap_region(block.cast())) };
        let (major, minor, patch) = (version / 10_000, version / 100 % 100, version % 100);
        if ours && major == MAJOR {
            Ok(format!("mimalloc {major}.{minor}.{patch}: mi_is_in_heap_region"))
        } else {
            Err(format!("mimalloc {version}, in its heap: {ours}"))
        }
    }
}

#[cfg(feature = "on-jemalloc")]
mod subject {
    use std::ffi::{CStr, c_char};
    use std::ptr;
    use tikv_jemallocator::Jemalloc;

    #[global_allocator]
    static GLOBAL: Jemalloc = Jemalloc;

    pub(crate) const BY_LIBC: bool = false;

    pub(crate) fn owns(block: *const u8) -> Result<String, String> {
        let mut version: *const c_char = ptr::null();
        let mut arena = 0_u32;
        let (mut version_size, mut arena_size) = (size_of_val(&version), size_of_val(&arena));
        let mut block = block;
        // SAFETY: "version" gives a string that stays; "arenas.lookup" takes a pointer and gives the number of its
        // arena, or an error where it has none.
        unsafe {
            let errors = (
                tikv_jemalloc_sys::mallctl(
                    c"version".as_ptr(),
                    (&raw mut version).cast(),
                    &raw mut version_size,
                    ptr::null_mut(),
                    0,
                ),
                tikv_jemalloc_sys::mallctl(
                    c"arenas.lookup".as_ptr(),
                    (&raw mut arena).cast(),
                    &raw mut arena_size,
                    (&raw mut block).cast(),
                    size_of_val(&block),
                ),
            );
            if errors != (0, 0) || version.is_null() {
                return Err(format!("mallctl of jemalloc: errors {errors:?}"));
            }
            let version = CStr::from_ptr(version).to_string_lossy();
            Ok(format!("jemalloc {version}: arenas.lookup"))
        }
    }
}

#[cfg(feature = "on-snmalloc")]
mod subject {
    use snmalloc_rs::SnMalloc;

    #[global_allocator]
    static GLOBAL: SnMalloc = SnMalloc::new();

    pub(crate) const BY_LIBC: bool = false;

    pub(crate) fn owns(block: *const u8) -> Result<String, String> {
        match GLOBAL.usable_size(block) {
            Some(size @ 64..128) => Ok(format!("snmalloc: usable size {size}")),
            other => Err(format!("snmalloc says that 64 bytes have {other:?}")),
        }
    }
}

#[cfg(feature = "on-rpmalloc")]
mod subject {
    use rpmalloc::RpMalloc;

    #[global_allocator]
    static GLOBAL: RpMalloc = RpMalloc;

    pub(crate) const BY_LIBC: bool = false;

    /// rpmalloc answers no question about addresses. That it is in force follows from this being its only use.
    pub(crate) fn owns(_: *const u8) -> Result<String, String> {
        let stats = RpMalloc::global_stats();
        if stats.mapped > 0 {
            Ok(format!("rpmalloc: {} bytes mapped", stats.mapped))
        } else {
            Ok("rpmalloc: by exclusion".to_owned())
        }
    }
}

#[cfg(feature = "on-rusty-alloc")]
mod subject {
    use rusty_alloc_api::RustyAlloc;

    #[global_allocator]
    static GLOBAL: RustyAlloc = RustyAlloc;

    pub(crate) const BY_LIBC: bool = false;

    pub(crate) fn owns(block: *const u8) -> Result<String, String> {
        if rusty_alloc::alloc::is_in_heap_region(block) {
            Ok(format!("rusty_alloc {}: is_in_heap_region", rusty_alloc_api::VERSION))
        } else {
            Err("not in the heap of rusty_alloc".to_owned())
        }
    }
}

#[cfg(not(any(
    feature = "on-hakmem",
    feature = "on-mimalloc",
    feature = "on-jemalloc",
    feature = "on-snmalloc",
    feature = "on-rpmalloc",
    feature = "on-rusty-alloc",
)))]
mod subject {
    use std::ffi::CStr;

    pub(crate) const BY_LIBC: bool = true;

    pub(crate) fn owns(_: *const u8) -> Result<String, String> {
        // SAFETY: the string is static.
        let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) };
        Ok(format!("glibc {}", version.to_string_lossy()))
    }
}
