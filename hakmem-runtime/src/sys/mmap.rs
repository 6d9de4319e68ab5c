//! Memory from the kernel. Addresses are `usize`; an address of 0 means that the kernel refused. `errno` is preserved.
//!
//! The functions that change a mapping take its address. Their callers must own the range: they got it from [`map`] or
//! [`map_at`] and have not unmapped it, and no memory that the call would change is in use. Who owns which range is the
//! subject of `backend/region.rs`, `backend/free_runs.rs` and `extent/extents.rs`.

use super::errno;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// The page size, read at run time: 4, 16 or 64 KiB.
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

/// The access that a new mapping allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing yet: address space alone, which the kernel does not count as memory.
    Reserved,
    /// Reads and writes. Zero until the first write.
    ReadWrite,
}

impl Access {
    fn protection(self) -> i32 {
        match self {
            Access::Reserved => libc::PROT_NONE,
            Access::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        }
    }

    /// The kernel charges memory when it becomes usable, so that a request beyond all memory fails at once. It does not
    /// charge reserved address space.
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
    errno::preserve(|| {
        // SAFETY: it makes a new anonymous mapping. `extra` is 0 or MAP_FIXED_NOREPLACE, with which the kernel never
        // replaces an existing mapping.
        let address = unsafe { libc::mmap(hint, length, access.protection(), flags, -1, 0) };
        if address == libc::MAP_FAILED { 0 } else { address.expose_provenance() }
    })
}

/// How many aligned addresses to try before mapping more than needed: our own regions may occupy a few of them.
const TRIES: u32 = 8;

/// Maps `length` bytes at `address`, if nothing is mapped there.
pub(crate) fn map_at(address: usize, length: usize, access: Access) -> bool {
    let found = mmap(address, length, access, libc::MAP_FIXED_NOREPLACE);
    if found != 0 && found != address {
        unmap(found, length); // A kernel before 4.17 takes the address as a hint.
    }
    found == address
}

/// Maps `length` bytes (a multiple of the page size) at a multiple of `align` (a power of two).
pub(crate) fn map(length: usize, align: usize, access: Access) -> usize {
    let first = mmap(0, length, access, 0);
    if first == 0 || first & align.wrapping_sub(1) == 0 {
        return first;
    }
    // The kernel places mappings downwards, each below the last, so the next aligned address below this one is most
    // likely free: a try costs one call and no address space.
    unmap(first, length);
    let mut below = first & !align.wrapping_sub(1);
    for _ in 0..TRIES {
        if below == 0 {
            break;
        }
        if map_at(below, length, access) {
            return below;
        }
        below = below.saturating_sub(align);
    }
    // Otherwise map enough to contain an aligned range, and unmap what is before and after it.
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

/// Unmaps a range that the caller owns.
pub(crate) fn unmap(address: usize, length: usize) {
    if length > 0 {
        errno::preserve(|| {
            // SAFETY: the range is a mapping, or a part of one, that the caller owns and no longer uses (see the
            // module).
            unsafe { libc::munmap(ptr::with_exposed_provenance_mut(address), length) };
        });
    }
}

/// Makes reserved memory readable and writable.
pub(crate) fn commit(address: usize, length: usize) -> bool {
    errno::preserve(|| {
        // SAFETY: the range is address space that the caller reserved, so nothing can be using it.
        unsafe {
            libc::mprotect(ptr::with_exposed_provenance_mut(address), length, Access::ReadWrite.protection()) == 0
        }
    })
}

/// Returns a range's memory to the kernel; the range stays mapped and reads as zero. `false`: the kernel
/// refused, as it does for locked memory.
pub(crate) fn purge(address: usize, length: usize) -> bool {
    advise(address, length, libc::MADV_DONTNEED)
}

/// Populates a range in one call instead of a page fault per page. A kernel before 5.14 refuses; then the page faults
/// follow.
pub(crate) fn populate(address: usize, length: usize) {
    advise(address, length, libc::MADV_POPULATE_WRITE);
}

/// Asks for transparent huge pages. A kernel without them refuses, and nothing changes.
pub(crate) fn prefer_huge_pages(address: usize, length: usize) {
    advise(address, length, libc::MADV_HUGEPAGE);
}

fn advise(address: usize, length: usize, advice: i32) -> bool {
    errno::preserve(|| {
        // SAFETY: whole pages of a mapping that the caller owns. MADV_DONTNEED is the only advice here that changes
        // what is in them, and the caller passes free memory for it.
        unsafe { libc::madvise(ptr::with_exposed_provenance_mut(address), length, advice) == 0 }
    })
}

/// The outcome of [`resize_in_place`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resize {
    Done,
    /// There is no room after the mapping, or no memory.
    Refused,
    /// The range consists of several mappings, which the kernel does not resize as one.
    Split,
}

/// Lengthens a mapping without moving it.
pub(crate) fn resize_in_place(address: usize, old: usize, new: usize) -> Resize {
    match remap(address, old, new, 0, 0) {
        Ok(()) => Resize::Done,
        Err(libc::EFAULT) => Resize::Split,
        Err(_) => Resize::Refused,
    }
}

/// Moves a mapping's pages, without copying them, to `target`: `new` bytes of address space that the caller reserved.
/// `false`: the kernel refused, and the mapping is where it was; **but the caller does not own `target` any more**.
///
/// That is because the kernel unmaps `target` before it moves the pages ("Any previous mapping at the address range
/// specified by `new_address` and `new_size` is unmapped", mremap(2)), and may refuse after that. Then another thread's
/// mapping may be at `target` already, and unmapping it would destroy that. On the other hand, a kernel that refuses
/// earlier (most checks come first since 6.17) leaves the reservation in place. The cases cannot be told apart, so
/// `target` is given up in both: at worst its address space, which has no memory, leaks.
pub(crate) fn move_to(address: usize, old: usize, new: usize, target: usize) -> bool {
    remap(address, old, new, libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED, target).is_ok()
}

/// `mremap`, or its `errno`.
fn remap(address: usize, old: usize, new: usize, flags: i32, target: usize) -> Result<(), i32> {
    let address = ptr::with_exposed_provenance_mut::<libc::c_void>(address);
    let target = ptr::with_exposed_provenance_mut::<libc::c_void>(target);
    errno::preserve(|| {
        // SAFETY: the caller owns the mapping at `address`. Without flags its address stays, the kernel adds pages
        // where nothing is mapped, and `target` is ignored. With MREMAP_FIXED the kernel replaces what is at `target`,
        // which is the caller's reservation up to that moment; no other mapping can be made between the two steps. The
        // old range is unmapped by a move and nobody else uses it, since the caller owns it.
        let moved = unsafe { libc::mremap(address, old, new, flags, target) };
        if moved == libc::MAP_FAILED { Err(errno::last()) } else { Ok(()) }
    })
}
