//! Large blocks: what no class holds is mapped directly, kept for a short while after its free, and grown by `mremap`.
//!
//! A large block starts at a multiple of the page map's granule (2 MiB) or of its alignment if that is more. So no two
//! share a granule, the page map knows each one's length, and transparent huge pages fit. The rounding is address space,
//! not memory.

use super::exact_cache::{self, ExactCache};
use super::extent_cache::{ExtentCache, Range};
use crate::global::Allocator;
use crate::meta::page_map::{self, GRANULE, LargeBlock, Owner};
use crate::sys::clock;
use crate::sys::fatal::fatal;
use crate::sys::lock::Lock;
use crate::sys::mmap::{self, Access, round_up};
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// The ranges freed last have at most this fraction (1/4) of all that is kept.
const LATEST: usize = 4;

/// Frees for each look at the time, which takes a call and a division.
const FREES: u32 = 16;

/// The large blocks of one allocator.
///
/// # Invariants
/// In the page map the granule at which a block starts has its length, and every other granule at which one of its pages or of
/// a kept range starts is `LargeRest`.
///
/// The ranges in `exact` have at most `limit / LATEST` bytes, those in `kept` what is left of it: but for threads at the
/// same moment.
#[derive(Debug)]
pub struct Extents {
    exact: ExactCache,
    kept: Lock<ExtentCache>,
    /// What is in `kept`, as of its last change.
    bytes: AtomicUsize,
    /// Blocks freed, about.
    frees: AtomicU32,
    /// Bytes that are kept at most.
    limit: usize,
    /// The address below which the next mapping is tried.
    near: AtomicUsize,
}

impl Extents {
    pub(crate) const fn new(limit: usize) -> Extents {
        Extents {
            exact: ExactCache::empty(),
            kept: Lock::new(ExtentCache::NOTHING),
            bytes: AtomicUsize::new(0),
            frees: AtomicU32::new(0),
            limit,
            near: AtomicUsize::new(0),
        }
    }

    /// Maps `size` bytes at a multiple of `align`. Null: no memory, or no such amount.
    #[cold]
    #[inline(never)]
    pub fn allocate(&self, owner: &'static Allocator, size: usize, align: usize) -> *mut u8 {
        owner.initialise();
        let Some(length) = round_up(size, mmap::page_size()) else { return ptr::null_mut() };
        let mut address = self.take(owner, length, align);
        if address == 0 {
            address = self.map(owner, length, align);
        }
        ptr::with_exposed_provenance_mut(address)
    }

    /// As [`Large::allocate`], zeroed without being written: a range that is kept, whose memory is given back, or a new mapping.
    #[cold]
    #[inline(never)]
    pub fn allocate_zeroed(&self, owner: &'static Allocator, size: usize, align: usize) -> *mut u8 {
        owner.initialise();
        let Some(length) = round_up(size, mmap::page_size()) else { return ptr::null_mut() };
        let mut address = self.take(owner, length, align);
        if address != 0 && !mmap::purge(address, length) {
            // The kernel leaves locked memory where it is.
            // SAFETY: a block of ours that nobody has.
            unsafe { self.free(owner, ptr::with_exposed_provenance_mut(address)) };
            address = 0;
        }
        if address == 0 {
            address = self.map(owner, length, align);
        }
        ptr::with_exposed_provenance_mut(address)
    }

    /// A block of memory that is kept; 0 where none serves.
    fn take(&self, owner: &Allocator, length: usize, align: usize) -> usize {
        let align = align.max(GRANULE);
        let exact = self.exact.take(length, align);
        let (address, length) = if exact == 0 { self.take_kept(length, align) } else { (exact, length) };
        if address != 0 {
            // The rest of it is entered as the rest of a block: it was one.
            page_map::change(address, Owner::Large(owner.id(), length));
        }
        address
    }

    /// A range of those that can be joined and cut, address and length.
    #[cold]
    #[inline(never)]
    fn take_kept(&self, length: usize, align: usize) -> (usize, usize) {
        self.gather(clock::now_ms());
        let (taken, behind) = self.with_kept(|kept| kept.take(length, align));
        self.release(behind);
        (taken.address, taken.length)
    }

    /// Does `work` under the lock.
    fn with_kept<R>(&self, work: impl FnOnce(&mut ExtentCache) -> R) -> R {
        let mut kept = self.kept.lock();
        let result = work(&mut kept);
        self.bytes.store(kept.bytes, Ordering::Relaxed);
        result
    }

    /// Brings the exact ranges to the others, where they are joined and cut, and their time is known: it begins `now`.
    #[cold]
    #[inline(never)]
    fn gather(&self, now: u32) {
        while let Some((address, length)) = self.exact.take_any() {
            self.put(Range { address, length, since: now });
        }
    }

    /// Puts a range among the kept, or gives it back if there is no place.
    fn put(&self, range: Range) {
        if !self.with_kept(|kept| kept.put(range)) {
            self.release(range);
        }
    }

    fn map(&self, owner: &Allocator, length: usize, align: usize) -> usize {
        self.trim_cache(length);
        self.place(owner, length, align, Access::ReadWrite)
    }

    /// Frees a block.
    ///
    /// # Safety
    /// `block` came from this allocator's large blocks and is not used any more.
    #[cold]
    #[inline(never)]
    pub unsafe fn free(&self, owner: &'static Allocator, block: *mut u8) {
        let address = block.expose_provenance();
        let block = Self::block(owner, address);
        // What is kept is nobody's: a second free of it must not find a large block there.
        block.change(Owner::LargeRest(owner.id()));
        let frees = self.frees.load(Ordering::Relaxed);
        self.frees.store(frees.wrapping_add(1), Ordering::Relaxed);
        if !self.keep_latest(address, block.length) {
            self.keep(owner, address, block.length);
        } else if frees.is_multiple_of(FREES) {
            Self::look(owner);
        }
    }

    /// Looks at the time: a program that allocates nothing but large blocks meets no other slow path.
    #[cold]
    #[inline(never)]
    fn look(owner: &'static Allocator) {
        owner.purge_if_due(None, clock::now_ms());
    }

    /// Keeps a range among the exact; `false`: it is too long for that, or they are enough.
    fn keep_latest(&self, address: usize, length: usize) -> bool {
        let part = self.limit / LATEST;
        length <= part / exact_cache::RANGES
            && self.bytes.load(Ordering::Relaxed) <= self.limit.wrapping_sub(part)
            && self.exact.put(address, length)
    }

    /// Resizes a block that remains large: where it stands, else by a copy into memory that is kept, else by moving its pages.
    /// Null: no memory, and the block is as it was.
    ///
    /// # Safety
    /// `block` came from this allocator's large blocks with this alignment; on success it is not used any more.
    #[cold]
    #[inline(never)]
    pub unsafe fn resize(&self, owner: &'static Allocator, block: *mut u8, new_size: usize, align: usize) -> *mut u8 {
        let address = block.expose_provenance();
        let old = Self::block(owner, address).length;
        let Some(new) = round_up(new_size, mmap::page_size()) else { return ptr::null_mut() };
        if new == old {
            return block;
        }
        let id = owner.id();
        if new < old {
            page_map::change(address, Owner::Large(id, new));
            // Whoever shrinks a block wants it smaller now.
            self.release(Range { address: address.wrapping_add(new), length: old.wrapping_sub(new), since: 0 });
            return block;
        }
        if self.extend(address, old, new) {
            if page_map::enter(address, new, Owner::Large(id, new), Owner::LargeRest(id)) {
                return block;
            }
            self.release(Range { address: address.wrapping_add(old), length: new.wrapping_sub(old), since: 0 });
            return ptr::null_mut();
        }
        // To copy is faster than to have pages moved, if the others are there: of 2.4 µs for a page fault, a copy takes 0.4.
        let taken = self.take(owner, new, align);
        if taken != 0 {
            // SAFETY: as of this function; the target is a new block of `new` bytes.
            return unsafe { self.copy(owner, block, old, ptr::with_exposed_provenance_mut(taken)) };
        }
        self.trim_cache(new.wrapping_sub(old));
        let target = self.place(owner, new, align, Access::Reserved);
        if target == 0 {
            return ptr::null_mut();
        }
        page_map::remove(address, old);
        if !mmap::resize_to(address, old, new, target) {
            page_map::enter(address, old, Owner::Large(id, old), Owner::LargeRest(id));
            page_map::remove(target, new);
            mmap::unmap(target, new);
            // It is more than one mapping to the kernel, because it has grown into another.
            // SAFETY: as of this function; the target is null or a new block of `new` bytes.
            return unsafe { self.copy(owner, block, old, self.allocate(owner, new, align)) };
        }
        ptr::with_exposed_provenance_mut(target)
    }

    /// Makes a block longer where it stands, if there is room behind it, which is common: its start was rounded to a
    /// granule and its end was not; and behind it may be memory that is kept.
    fn extend(&self, address: usize, old: usize, new: usize) -> bool {
        self.gather(clock::now_ms());
        let behind = self.with_kept(|kept| kept.take_at(address.wrapping_add(old), new.wrapping_sub(old)));
        let grown = old.wrapping_add(behind.length);
        if grown == new || mmap::resize_in_place(address, grown, new) {
            return true;
        }
        if behind.length > 0 {
            self.put(behind);
        }
        false
    }

    /// Moves what is in a block to `target`. Null where that is.
    ///
    /// # Safety
    /// As [`Large::resize`]; `target` is null or a new block that is not shorter.
    #[cold]
    unsafe fn copy(&self, owner: &'static Allocator, block: *mut u8, old: usize, target: *mut u8) -> *mut u8 {
        if !target.is_null() {
            // SAFETY: both blocks are of this length at least, and ours; the old one is not used any more.
            unsafe {
                ptr::copy_nonoverlapping(block, target, old);
                self.free(owner, block);
            }
        }
        target
    }

    /// Maps a block and enters it. 0: no memory.
    fn place(&self, owner: &Allocator, length: usize, align: usize, access: Access) -> usize {
        let mut address = self.map_near(length, align, access);
        if address == 0 {
            // Before giving up, give back what is only kept.
            owner.trim_all();
            address = self.map_near(length, align, access);
        }
        let id = owner.id();
        if address != 0 && !page_map::enter(address, length, Owner::Large(id, length), Owner::LargeRest(id)) {
            mmap::unmap(address, length);
            return 0;
        }
        address
    }

    /// Maps `length` bytes where a mapping was given back last, or below the last one: the kernel's own choice is seldom
    /// at a multiple of the granule, and costs more calls. 0: no memory.
    fn map_near(&self, length: usize, align: usize, access: Access) -> usize {
        let align = align.max(GRANULE);
        let below = self.near.load(Ordering::Relaxed).saturating_sub(length) & !align.wrapping_sub(1);
        let mut address = below;
        if below == 0 || !mmap::map_at(below, length, access) {
            address = mmap::map(length, align, access);
        }
        if address != 0 {
            self.near.store(address, Ordering::Relaxed);
        }
        address
    }

    /// Keeps a range where it can be joined and cut, if it is not too long, and looks at the time.
    #[cold]
    #[inline(never)]
    fn keep(&self, owner: &'static Allocator, address: usize, length: usize) {
        let now = clock::now_ms();
        let range = Range { address, length, since: now };
        if length > self.limit {
            self.release(range);
        } else {
            self.gather(now);
            self.shrink_to(self.limit.wrapping_sub(length), now);
            self.put(range);
        }
        owner.purge_if_due(None, now);
    }

    /// Unmaps a range and takes it out of the page map, first there: an address never is ours when the kernel has it.
    fn release(&self, range: Range) {
        if range.length > 0 {
            // A part of the first granule may be a block's end.
            let end = range.address.wrapping_add(range.length);
            let first = round_up(range.address, GRANULE).unwrap_or(end);
            if first < end {
                page_map::remove(first, end.wrapping_sub(first));
            }
            mmap::unmap(range.address, range.length);
            self.near.store(round_up(end, GRANULE).unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// Unmaps as many kept bytes as are mapped now for want of a range that serves: what is kept never adds to what a
    /// program needs at its peak.
    fn trim_cache(&self, length: usize) {
        let bytes = self.bytes.load(Ordering::Relaxed);
        if bytes > 0 {
            self.shrink_to(bytes.saturating_sub(length), clock::now_ms());
        }
    }

    /// Unmaps the ranges kept longest until no more than `limit` bytes are kept.
    fn shrink_to(&self, limit: usize, now: u32) {
        while self.bytes.load(Ordering::Relaxed) > limit {
            // The kernel works while the lock is free.
            self.release(self.with_kept(|kept| kept.take_oldest(now)));
        }
    }

    /// The block at `address`, from the page map. Anything else that claims to be a large block ends the program.
    fn block(owner: &Allocator, address: usize) -> LargeBlock {
        let Some(block) = page_map::large(address, owner.id()) else {
            fatal("a large block was freed or resized that this allocator did not allocate", address)
        };
        block
    }

    /// Unmaps what has been kept for `delay` milliseconds.
    pub(crate) fn purge(&self, now: u32, delay: u32) {
        self.gather(now);
        loop {
            let aged = self.with_kept(|kept| kept.take_aged(now, delay));
            if aged.length == 0 {
                return;
            }
            self.release(aged);
        }
    }

    /// For how long the range kept longest has been kept by `now`.
    pub(crate) fn oldest(&self, now: u32) -> Option<u32> {
        self.kept.lock().oldest(now)
    }

    pub(crate) fn before_fork(&self) {
        self.kept.hold_for_fork();
    }

    pub(crate) fn after_fork(&self) {
        self.kept.release_after_fork();
    }
}
