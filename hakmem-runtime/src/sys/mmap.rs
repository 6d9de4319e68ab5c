//! Memory from the kernel. Addresses are `usize`; an address of 0 means that the kernel refused. `errno` is preserved.
//!
//! The functions that change a mapping take its address. Their callers must own the range: they got it from [`map`] or
//! [`map_at`] and have not unmapped it, and no memory that the call would change is in use. Who owns which range is the
//! subject of `backend/region.rs`, `backend/free_runs.rs` and `extent/segment.rs`.

use super::kernel::call;
use super::{clock, futex, libc_safe};
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// The page size: 4 KiB on x86-64, elsewhere what the kernel was built with, 4, 16 or 64 KiB.
#[inline(always)]
pub(crate) fn page_size() -> usize {
    static PAGE: AtomicUsize = AtomicUsize::new(0);
    if cfg!(target_arch = "x86_64") {
        return 4096;
    }
    match PAGE.load(Ordering::Relaxed) {
        0 => ask_page_size(&PAGE),
        page => page,
    }
}

#[cold]
#[inline(never)]
fn ask_page_size(known: &AtomicUsize) -> usize {
    let page = usize::try_from(libc_safe::sysconf(libc::_SC_PAGESIZE)).unwrap_or(4096);
    known.store(page, Ordering::Relaxed);
    page
}

/// `value` rounded up to a multiple of `to`, a power of two; `None` on overflow.
pub(crate) fn round_up(value: usize, to: usize) -> Option<usize> {
    value.checked_add(to.wrapping_sub(1)).map(|sum| sum & !to.wrapping_sub(1))
}

/// The access that a new mapping allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing yet: address space alone, which the kernel does not count as memory. It does so when it becomes usable
    /// (without MAP_NORESERVE, which would hold for ever), so that a request beyond all memory fails at once.
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
}

#[inline(never)] // For size, as are the others: a call of the kernel takes far longer.
fn mmap(hint: usize, length: usize, access: Access, extra: i32) -> usize {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | extra;
    let arguments = [hint, length, access.protection() as usize, flags as usize, NO_FILE, 0];
    // SAFETY: it makes a new anonymous mapping. `extra` is 0 or MAP_FIXED_NOREPLACE, with which the kernel never replaces
    // an existing mapping.
    unsafe { call(libc::SYS_mmap, arguments) }.unwrap_or(0)
}

/// The file descriptor of none, -1.
const NO_FILE: usize = usize::MAX;

/// How many aligned addresses to try before mapping more than needed: our own regions may occupy a few of them.
const TRIES: u32 = 8;

/// Maps `length` bytes at `address`, if nothing is mapped there.
#[inline(never)]
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
    map_trimmed(0, length, align, access)
}

/// Maps `bytes` so that the address `before` bytes after their start is a multiple of `align`, a power of two: maps enough
/// to contain that, and unmaps what is before and after it.
pub(crate) fn map_trimmed(before: usize, bytes: usize, align: usize, access: Access) -> usize {
    // What is mapped too much is only reserved, so that the kernel does not count it.
    let address = map_and_trim(before, bytes, align, Access::Reserved);
    if address == 0 || access == Access::Reserved || commit(address, bytes) {
        return address;
    }
    unmap(address, bytes);
    // A filter of system calls may forbid to change what a mapping allows.
    map_and_trim(before, bytes, align, access)
}

fn map_and_trim(before: usize, bytes: usize, align: usize, access: Access) -> usize {
    let Some(total) = bytes.checked_add(align) else { return 0 };
    let whole = mmap(0, total, access, 0);
    let Some(aligned) = round_up(whole.wrapping_add(before), align).filter(|_| whole != 0) else { return 0 };
    let address = aligned.wrapping_sub(before);
    let end = address.wrapping_add(bytes);
    unmap(whole, address.wrapping_sub(whole));
    unmap(end, whole.wrapping_add(total).wrapping_sub(end));
    address
}

/// Unmaps a range that the caller owns. `false`: the kernel refused, as it may if that splits a mapping; the range is
/// as it was.
pub(crate) fn unmap(address: usize, length: usize) -> bool {
    length == 0 || change(libc::SYS_munmap, address, length, 0)
}

/// Makes reserved memory readable and writable.
pub(crate) fn commit(address: usize, length: usize) -> bool {
    change(libc::SYS_mprotect, address, length, Access::ReadWrite.protection())
}

/// Returns a range's memory to the kernel; the range stays mapped and reads as zero. `false`: the kernel
/// refused, as it does for locked memory.
pub(crate) fn purge(address: usize, length: usize) -> bool {
    change(libc::SYS_madvise, address, length, libc::MADV_DONTNEED)
}

/// Populates a range in one call instead of a page fault per page. A kernel before 5.14 refuses; then the page faults
/// follow.
pub(crate) fn populate(address: usize, length: usize) {
    change(libc::SYS_madvise, address, length, libc::MADV_POPULATE_WRITE);
}

/// Asks for transparent huge pages. A kernel without them refuses, and nothing changes.
pub(crate) fn prefer_huge_pages(address: usize, length: usize) {
    change(libc::SYS_madvise, address, length, libc::MADV_HUGEPAGE);
}

/// One of the three calls above that change a range. `how` is the new protection, or the advice.
#[inline(never)]
fn change(number: libc::c_long, address: usize, length: usize, how: i32) -> bool {
    // SAFETY: whole pages of mappings that the caller owns. Where they, or what is in them, go away (munmap, MADV_DONTNEED),
    // the caller uses them no longer; what becomes usable (mprotect) was reserved, so that nothing uses it.
    let done = unsafe { call(number, [address, length, how as usize, 0, 0, 0]) }.is_ok();
    if done && matches!((number, how), (libc::SYS_munmap, _) | (libc::SYS_madvise, libc::MADV_DONTNEED)) {
        GIVEN_BACK.fetch_add(length, Ordering::Relaxed);
    }
    done
}

/// The bytes that went back to the system so far, as memory or as address space.
static GIVEN_BACK: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn given_back() -> usize {
    GIVEN_BACK.load(Ordering::Relaxed)
}

/// The pages of a mapping, taken away from it: at another address that nobody else knows. Where they were, the mapping is
/// all zero.
#[derive(Debug)]
#[must_use = "pages that are dropped are leaked"]
pub(crate) struct TakenPages {
    pub(crate) address: usize,
    pub(crate) length: usize,
}

/// Why pages could not be taken: now, or ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The range is several mappings, or there are too many mappings. It is as it was.
    Refused,
    /// This kernel does not do that (before 5.7).
    Unsupported,
}

/// Takes the pages of `length` bytes, a part of one mapping, without copying them.
///
/// Without MREMAP_FIXED, the kernel does this for a part of one mapping only, wholly or not at all. (With it, Linux 6.17
/// and later move several mappings one after the other, and may fail after the first ones.)
pub(crate) fn take_pages(from: usize, length: usize) -> Result<TakenPages, NotTaken> {
    match remap(from, length, libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP, 0) {
        Ok(address) => Ok(TakenPages { address, length }),
        Err(libc::EINVAL) => Err(NotTaken::Unsupported),
        Err(_) => Err(NotTaken::Refused),
    }
}

/// A word that is written to memory of ours, to tell later whether other memory is there.
#[derive(Debug)]
pub(crate) struct Stamp {
    address: usize,
    halves: [u32; 2],
}

impl Stamp {
    /// Writes one at `address`, a multiple of a page in a mapping of the caller's that nothing else uses.
    pub(crate) fn write(address: usize) -> Stamp {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let seed = address ^ (clock::now_ms() as usize) << 32 ^ count;
        let value = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let halves = [value as u32, (value >> 32) as u32 | 1];
        // SAFETY: mapped, aligned and the caller's alone.
        unsafe { ptr::with_exposed_provenance_mut::<[u32; 2]>(address).write(halves) };
        Stamp { address, halves }
    }

    /// Whether it is still there. Reads nothing that may be somebody else's but by the kernel.
    fn is_there(&self) -> bool {
        let [first, second] = self.halves;
        futex::is_at(self.address, first) && futex::is_at(self.address.wrapping_add(size_of::<u32>()), second)
    }
}

/// What became of a target to which pages could not be moved.
#[derive(Debug)]
pub(crate) enum Target {
    /// It is still the caller's. What was in it may be lost.
    Kept,
    /// **It may be somebody else's**, and must not be touched any more.
    Lost,
}

impl TakenPages {
    /// Moves the pages to a target, a mapped range of the caller's in which nothing is in use. If that fails, the pages
    /// come back.
    ///
    /// The kernel unmaps the target before it moves the pages ("Any previous mapping at the address range specified by
    /// `new_address` and `new_size` is unmapped", mremap(2)), and may refuse after that. By then another thread may have
    /// a mapping there. So after a refusal the target is mapped again, if nothing is there. If something is, it may also
    /// be the old target; that is told by a stamp in it, if there is one.
    pub(crate) fn move_to(self, target: usize, stamp: Option<&Stamp>) -> Result<(), (TakenPages, Target)> {
        match remap(self.address, self.length, libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED, target) {
            Ok(_) => Ok(()),
            Err(_) if map_at(target, self.length, Access::ReadWrite) => Err((self, Target::Kept)),
            // The kernel unmaps all of it or nothing.
            Err(_) if stamp.is_some_and(Stamp::is_there) => Err((self, Target::Kept)),
            Err(_) => Err((self, Target::Lost)),
        }
    }
}

/// `mremap` without a change of length. Returns the new address, or `errno`.
fn remap(from: usize, length: usize, flags: i32, to: usize) -> Result<usize, i32> {
    // SAFETY: the callers own the old range; and the new one, in which nothing is in use, or leave it to the kernel.
    unsafe { call(libc::SYS_mremap, [from, length, length, flags as usize, to, 0]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;

    /// The process's pages of address space, and those of private memory that can be written. Allocates nothing.
    fn pages() -> [usize; 2] {
        let mut text = [0_u8; 256];
        let length = File::open("/proc/self/statm").and_then(|mut file| file.read(&mut text)).expect("proc is mounted");
        let mut numbers = [0; 7];
        for (number, word) in numbers.iter_mut().zip(text[..length].split(|&byte| byte == b' ')) {
            *number = word
                .iter()
                .filter(|byte| byte.is_ascii_digit())
                .fold(0, |sum, byte| sum * 10 + usize::from(byte - b'0'));
        }
        [numbers[0], numbers[5]]
    }

    /// A limit of private memory that can be written, which the kernel counts as it counts what is committed.
    fn limit_data(bytes: usize) {
        libc_safe::setrlimit(
            libc::RLIMIT_DATA,
            &libc::rlimit { rlim_cur: bytes as u64, rlim_max: libc::RLIM_INFINITY },
        );
    }

    /// In a process with one thread.
    fn in_a_child(body: fn() -> bool) {
        let mut status = -1;
        // SAFETY: the child calls the kernel alone, and ends.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::_exit(i32::from(!body()));
            }
            assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        }
        assert_eq!(status, 0);
    }

    const LENGTH: usize = 1 << 20;
    const ALIGN: usize = 64 << 20;

    #[test]
    fn an_aligned_mapping_costs_its_length() {
        in_a_child(|| {
            let page = page_size();
            let before = pages();
            // The stack is among the pages, and not limited.
            limit_data(before[1] * page + LENGTH);
            let address = map_trimmed(page, LENGTH, ALIGN, Access::ReadWrite);
            let (is_there, after) = (address != 0 && (address + page).is_multiple_of(ALIGN), pages());
            let more = [0, 1].map(|which| (after[which] - before[which]) * page);
            is_there && more == [LENGTH; 2] && unmap(address, LENGTH) && pages() == before
        });
    }

    #[test]
    fn an_aligned_mapping_that_cannot_be_committed_leaves_nothing() {
        in_a_child(|| {
            limit_data(page_size()); // (0 would be no limit.)
            let before = pages();
            let address = map_trimmed(0, LENGTH, ALIGN, Access::ReadWrite);
            address == 0 && map(LENGTH, ALIGN, Access::ReadWrite) == 0 && pages() == before
        });
    }
}
