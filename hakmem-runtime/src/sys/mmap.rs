//! Memory from the kernel. Addresses are `usize`, 0 means "could not"; `errno` is left as the program had it.

use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// The page size, read once at run time (4, 16 or 64 KiB from one binary).
pub(crate) fn page_size() -> usize {
    static PAGE: AtomicUsize = AtomicUsize::new(0);
    match PAGE.load(Ordering::Relaxed) {
        0 => {
            // SAFETY: sysconf has no preconditions.
            let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
            PAGE.store(page, Ordering::Relaxed);
            page
        }
        page => page,
    }
}

/// `value` rounded up to a multiple of `to`, a power of two; `None` on overflow.
pub(crate) fn round_up(value: usize, to: usize) -> Option<usize> {
    value.checked_add(to.wrapping_sub(1)).map(|sum| sum & !to.wrapping_sub(1))
}

/// Runs `call` and puts `errno` back: an allocation that succeeds after a refused attempt must not show.
pub(crate) fn keeping_errno<T>(call: impl FnOnce() -> T) -> T {
    // SAFETY: errno is this thread's own place.
    let errno = unsafe { *libc::__errno_location() };
    let result = call();
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
    result
}

/// Who may touch a new mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nobody yet: address space alone, which the kernel does not charge for.
    Reserved,
    /// Readable and writable, zero on first touch.
    ReadWrite,
}

impl Access {
    fn protection(self) -> i32 {
        match self {
            Access::Reserved => libc::PROT_NONE,
            Access::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        }
    }

    /// Memory is accounted for when it is made usable, so that a request beyond all memory fails at once; address space
    /// alone is not.
    fn flags(self) -> i32 {
        match self {
            Access::Reserved => libc::MAP_NORESERVE,
            Access::ReadWrite => 0,
        }
    }
}

fn mmap(hint: usize, length: usize, access: Access, extra: i32) -> usize {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | access.flags() | extra;
    let hint = ptr::with_exposed_provenance_mut(hint);
    keeping_errno(|| {
        // SAFETY: an anonymous mapping at an address of the kernel's choice (or at `hint` with NOREPLACE) disturbs
        // no existing one.
        let address = unsafe { libc::mmap(hint, length, access.protection(), flags, -1, 0) };
        if address == libc::MAP_FAILED { 0 } else { address.expose_provenance() }
    })
}

/// Aligned addresses tried before address space is wasted for alignment: our own regions may hold a few of them.
const TRIES: u32 = 8;

/// Maps `length` bytes at `address`, if nothing is there.
pub(crate) fn map_at(address: usize, length: usize, access: Access) -> bool {
    let found = mmap(address, length, access, libc::MAP_FIXED_NOREPLACE);
    if found != 0 && found != address {
        unmap(found, length);
    }
    found == address
}

/// Maps `length` bytes (a multiple of the page size) at a multiple of `align` (a power of two).
pub(crate) fn map(length: usize, align: usize, access: Access) -> usize {
    let first = mmap(0, length, access, 0);
    if first == 0 || first & align.wrapping_sub(1) == 0 {
        return first;
    }
    // The kernel places mappings downwards one below the other, so an aligned address just below the one it chose is
    // most likely free: one try costs one call and no address space.
    unmap(first, length);
    let mut below = first & !align.wrapping_sub(1);
    for _ in 0..TRIES {
        if below == 0 {
            break;
        }
        let address = mmap(below, length, access, libc::MAP_FIXED_NOREPLACE);
        if address == below {
            return address;
        }
        if address != 0 {
            unmap(address, length); // A kernel before 4.17 takes NOREPLACE for a hint.
        }
        below = below.saturating_sub(align);
    }
    // Else map enough that an aligned piece is inside, and give back both ends.
    let Some(total) = length.checked_add(align) else { return 0 };
    let whole = mmap(0, total, Access::Reserved, 0);
    if whole == 0 {
        return 0;
    }
    let address = whole.wrapping_add(align.wrapping_sub(1)) & !align.wrapping_sub(1);
    let before = address.wrapping_sub(whole);
    unmap(whole, before);
    unmap(address.wrapping_add(length), align.wrapping_sub(before));
    if access == Access::ReadWrite && !commit(address, length) {
        unmap(address, length);
        return 0;
    }
    address
}

/// Unmaps. Nothing there may be in use.
pub(crate) fn unmap(address: usize, length: usize) {
    if length > 0 {
        keeping_errno(|| {
            // SAFETY: callers pass a mapping, or a part of one, of their own.
            unsafe { libc::munmap(ptr::with_exposed_provenance_mut(address), length) };
        });
    }
}

/// Makes reserved memory readable and writable.
pub(crate) fn commit(address: usize, length: usize) -> bool {
    keeping_errno(|| {
        // SAFETY: callers pass address space that they reserved.
        unsafe {
            libc::mprotect(ptr::with_exposed_provenance_mut(address), length, Access::ReadWrite.protection()) == 0
        }
    })
}

/// Gives the memory behind an address range back; it reads as zero afterwards. `false` where the kernel refused.
pub(crate) fn purge(address: usize, length: usize) -> bool {
    advise(address, length, libc::MADV_DONTNEED)
}

/// Gives an address range its memory now, in one call instead of a page fault for each page. A kernel before 5.14 refuses,
/// and the faults follow.
pub(crate) fn populate(address: usize, length: usize) {
    advise(address, length, libc::MADV_POPULATE_WRITE);
}

/// Asks for transparent huge pages. A kernel without them refuses, and nothing changes.
pub(crate) fn prefer_huge_pages(address: usize, length: usize) {
    advise(address, length, libc::MADV_HUGEPAGE);
}

fn advise(address: usize, length: usize, advice: i32) -> bool {
    keeping_errno(|| {
        // SAFETY: callers pass whole pages of a mapping of their own; none of the kinds of advice changes what is in use.
        unsafe { libc::madvise(ptr::with_exposed_provenance_mut(address), length, advice) == 0 }
    })
}

/// Changes a mapping's length where it stands; `false` where there is no room.
pub(crate) fn resize_in_place(address: usize, old: usize, new: usize) -> bool {
    keeping_errno(|| {
        // SAFETY: callers pass a mapping of their own; without MAYMOVE its address stays.
        let moved = unsafe { libc::mremap(ptr::with_exposed_provenance_mut(address), old, new, 0) };
        moved != libc::MAP_FAILED
    })
}

/// Moves a mapping's pages to `target`, address space of `new` bytes that the caller reserved. Copies nothing.
pub(crate) fn resize_to(address: usize, old: usize, new: usize, target: usize) -> bool {
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    keeping_errno(|| {
        // SAFETY: both ranges are the caller's; what was reserved at `target` is replaced.
        let moved = unsafe {
            libc::mremap(
                ptr::with_exposed_provenance_mut(address),
                old,
                new,
                flags,
                ptr::with_exposed_provenance_mut::<libc::c_void>(target),
            )
        };
        moved != libc::MAP_FAILED
    })
}
