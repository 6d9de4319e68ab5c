//! Large blocks: mapped one by one, cached for a while after they are freed, and grown by `mremap`.
//!
//! A large block starts at a multiple of the page map's granule (2 MiB), or of its alignment if that is more. So no two
//! blocks share a granule, the page map has the length of each, and transparent huge pages fit. The rounding costs
//! address space, not memory.
//!
//! Functions here return null if the kernel refuses; then nothing has changed. The caller may free other cached memory
//! and try again.

use super::exact_cache::{self, ExactCache};
use super::extent_cache::{Extent, ExtentCache};
use crate::meta::page_map::{self, GRANULE, LargeBlock, Owner};
use crate::slab::FreeBlock;
use crate::sys::clock;
use crate::sys::fatal::fatal;
use crate::sys::lock::Lock;
use crate::sys::mmap::{self, Access, Resize, round_up};
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// The exact cache has at most this fraction (1/4) of the limit.
const EXACT_SHARE: usize = 4;

/// Frees between two checks of the clock, which cost a call and a division.
const FREES: u32 = 16;

/// The large blocks of one allocator.
///
/// # Invariants
/// In the page map, a granule at which a block starts has that block's length. A granule that begins with another byte
/// of a block, or with a byte of a cached range, is `LargeRest`.
///
/// ```text
/// bytes in exact ≤ limit / EXACT_SHARE
/// bytes in exact + bytes in cache ≤ limit, except while several threads free at the same moment
/// ```
///
/// A range in a cache belongs to the cache, a block to the program. `unmap` gets only ranges taken from a cache, and
/// parts cut off a block.
#[derive(Debug)]
pub(crate) struct Extents {
    exact: ExactCache,
    cache: Lock<ExtentCache>,
    /// The bytes in `cache`, as of its last change.
    cached: AtomicUsize,
    /// Roughly how many blocks were freed.
    frees: AtomicU32,
    /// How many bytes may be cached.
    limit: usize,
    /// The address below which the next mapping is tried.
    near: AtomicUsize,
}

/// The interface.
impl Extents {
    pub(crate) const fn new(limit: usize) -> Extents {
        Extents {
            exact: ExactCache::empty(),
            cache: Lock::new(ExtentCache::EMPTY),
            cached: AtomicUsize::new(0),
            frees: AtomicU32::new(0),
            limit,
            near: AtomicUsize::new(0),
        }
    }

    /// Allocates `size` bytes at a multiple of `align` for the allocator with this id. Null: refused.
    #[inline]
    pub(crate) fn alloc(&self, id: u8, size: usize, align: usize) -> *mut u8 {
        let Some(length) = round_up(size, mmap::page_size()) else { return ptr::null_mut() };
        let mut address = self.take(id, length, align);
        if address == 0 {
            address = self.map(id, length, align);
        }
        ptr::with_exposed_provenance_mut(address)
    }

    /// [`Extents::alloc`] of zeroed memory, without writing to it: a new mapping, or a cached range, purged.
    #[inline]
    pub(crate) fn alloc_zeroed(&self, id: u8, size: usize, align: usize) -> *mut u8 {
        let Some(length) = round_up(size, mmap::page_size()) else { return ptr::null_mut() };
        let mut address = self.take(id, length, align);
        if address != 0 && !mmap::purge(address, length) {
            // The kernel refuses to purge locked memory.
            self.free_cold(id, address);
            address = 0;
        }
        if address == 0 {
            address = self.map(id, length, align);
        }
        ptr::with_exposed_provenance_mut(address)
    }

    /// Frees a block. `true`: it is time to check the clock, and to purge if due: a program that uses only large blocks
    /// has no other slow path. Aborts if `block` is not a large block.
    #[inline]
    pub(crate) fn dealloc(&self, id: u8, block: FreeBlock) -> bool {
        self.free(id, block.into_raw().expose_provenance())
    }

    /// Resizes a block: in place, else by a copy into cached memory, else by moving its pages, else by a copy. Null:
    /// refused, and the block is as it was.
    ///
    /// # Safety
    /// `block` came from these functions with this alignment. It is not used any more unless the result is null or the
    /// same address.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn realloc(&self, id: u8, block: *mut u8, new_size: usize, align: usize) -> *mut u8 {
        let address = block.expose_provenance();
        let old = Self::block(id, address, "invalid realloc: not a large block").length;
        let Some(new) = round_up(new_size, mmap::page_size()) else { return ptr::null_mut() };
        if new <= old {
            self.shrink(id, address, old, new);
            return block;
        }
        let in_place = self.grow(id, address, old, new);
        if in_place == Resize::Done {
            return block;
        }
        // A copy into resident memory is faster than a move: 0.4 µs per page, where each new page costs a fault of 2.4
        // µs.
        let mut target = self.take(id, new, align);
        if target == 0 {
            self.trim_cache(new.wrapping_sub(old));
            if in_place != Resize::Split {
                let moved = self.move_pages(id, address, old, new, align);
                if moved != 0 {
                    return ptr::with_exposed_provenance_mut(moved);
                }
            }
            target = self.map(id, new, align);
            if target == 0 {
                return ptr::null_mut();
            }
        }
        let target = ptr::with_exposed_provenance_mut::<u8>(target);
        // SAFETY: the page map says that `block` is a block of ours of `old` bytes, and the caller gives it up.
        // `target` is a block of `new` bytes, more than `old`, that was just allocated, so nobody else uses it and the
        // two do not overlap.
        unsafe { ptr::copy_nonoverlapping(block, target, old) };
        self.free_cold(id, address);
        target
    }

    /// Unmaps the ranges freed at least `delay` milliseconds ago.
    pub(crate) fn purge(&self, now: u32, delay: u32) {
        self.gather(now);
        loop {
            let aged = self.with_cache(|cache| cache.take_aged(now, delay));
            if aged.length == 0 {
                return;
            }
            self.unmap(aged);
        }
    }

    /// How long ago the oldest cached range was freed.
    pub(crate) fn oldest(&self, now: u32) -> Option<u32> {
        self.cache.lock().oldest(now)
    }

    /// Locks the cache for a fork.
    pub(crate) fn hold_for_fork(&self) {
        self.cache.hold_for_fork();
    }

    /// Unlocks the cache after a fork, in the parent and in the child.
    pub(crate) fn release_after_fork(&self) {
        self.cache.release_after_fork();
    }
}

/// Blocks.
impl Extents {
    /// The block at `address`, from the page map. If there is none, the program ends with `message`.
    fn block(id: u8, address: usize, message: &str) -> LargeBlock {
        page_map::large(address, id).unwrap_or_else(|| fatal(message, address))
    }

    /// A block from cached memory; 0 if none serves.
    fn take(&self, id: u8, length: usize, align: usize) -> usize {
        let align = align.max(GRANULE);
        let exact = self.exact.take(length, align);
        let (address, length) = if exact == 0 { self.take_cached(length, align) } else { (exact, length) };
        if address != 0 {
            // The other granules are `LargeRest` already: they were a block's.
            page_map::change(address, Owner::Large(id, length));
        }
        address
    }

    /// A block from a new mapping; 0 if the kernel refuses.
    fn map(&self, id: u8, length: usize, align: usize) -> usize {
        self.trim_cache(length);
        let address = self.map_near(length, align, Access::ReadWrite);
        if address != 0 && !page_map::enter(address, length, Owner::Large(id, length), Owner::LargeRest(id)) {
            mmap::unmap(address, length);
            return 0;
        }
        address
    }

    /// Maps `length` bytes where a range was unmapped last, or below the last mapping. The kernel's own choice is
    /// seldom a multiple of the granule, and then takes more calls. 0: refused.
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

    /// [`Extents::free`] where it is not all that is done.
    #[cold]
    #[inline(never)]
    fn free_cold(&self, id: u8, address: usize) {
        self.free(id, address);
    }

    /// Frees the block at `address`, which is no longer in use. `true`: it is time to check the clock.
    #[inline(always)]
    fn free(&self, id: u8, address: usize) -> bool {
        let block = Self::block(id, address, "invalid free: not a large block");
        // A cached range is no block: a second free must not find one there.
        block.change(Owner::LargeRest(id));
        let frees = self.frees.load(Ordering::Relaxed);
        self.frees.store(frees.wrapping_add(1), Ordering::Relaxed);
        if self.cache_exact(address, block.length) {
            return frees.is_multiple_of(FREES);
        }
        self.cache_or_unmap(address, block.length);
        true
    }

    /// Makes a block shorter. The rest is unmapped at once: a program that shrinks a block wants to save memory.
    fn shrink(&self, id: u8, address: usize, old: usize, new: usize) {
        if new < old {
            page_map::change(address, Owner::Large(id, new));
            self.unmap(Extent { address: address.wrapping_add(new), length: old.wrapping_sub(new), since: 0 });
        }
    }

    /// Makes a block longer in place. There often is room after it: blocks start at granules but need not end at one,
    /// and the memory after it may be cached.
    fn grow(&self, id: u8, address: usize, old: usize, new: usize) -> Resize {
        if !page_map::prepare(address, new) {
            return Resize::Refused;
        }
        self.gather(clock::now_ms());
        let following = self.with_cache(|cache| cache.take_at(address.wrapping_add(old), new.wrapping_sub(old)));
        let grown = old.wrapping_add(following.length);
        let mut resize = if grown == new { Resize::Done } else { mmap::resize_in_place(address, grown, new) };
        if resize != Resize::Done && following.length > 0 {
            self.put(following);
            // The block alone may be a single mapping, even if it was two together with the range after it.
            resize = mmap::resize_in_place(address, old, new);
        }
        if resize == Resize::Done {
            page_map::enter(address, new, Owner::Large(id, new), Owner::LargeRest(id));
        }
        resize
    }

    /// Moves a block's pages to a range of `new` bytes: nothing is copied. 0: refused, and the block is as it was.
    ///
    /// The range is reserved first, so that no other thread maps anything there before the kernel moves the pages. If
    /// the kernel refuses, the range is no longer ours and is not touched (see [`mmap::move_to`]); at worst its address
    /// space leaks. So two likely refusals are avoided. A block of several mappings (`Resize::Split`), which a kernel
    /// does not move as one, does not come here. And against a limit on address space the kernel counts the growth
    /// while the reservation still exists; so the reservation is made longer by the growth at first, which proves that
    /// it fits.
    fn move_pages(&self, id: u8, address: usize, old: usize, new: usize, align: usize) -> usize {
        let growth = new.wrapping_sub(old);
        let Some(counted) = new.checked_add(growth) else { return 0 };
        let target = self.map_near(counted, align, Access::Reserved);
        if target == 0 {
            return 0;
        }
        mmap::unmap(target.wrapping_add(new), growth);
        if !page_map::prepare(target, new) {
            mmap::unmap(target, new);
            return 0;
        }
        // The page map must name only addresses that are ours: the old ones until the move, the new ones from it on.
        page_map::remove(address, old);
        let moved = mmap::move_to(address, old, new, target);
        let (address, length) = if moved { (target, new) } else { (address, old) };
        page_map::enter(address, length, Owner::Large(id, length), Owner::LargeRest(id));
        if moved { target } else { 0 }
    }
}

/// The caches.
impl Extents {
    /// Runs `work` under the lock.
    fn with_cache<R>(&self, work: impl FnOnce(&mut ExtentCache) -> R) -> R {
        let mut cache = self.cache.lock();
        let result = work(&mut cache);
        self.cached.store(cache.bytes, Ordering::Relaxed);
        result
    }

    /// A range from the extent cache: its address, or 0, and its length.
    #[cold]
    #[inline(never)]
    fn take_cached(&self, length: usize, align: usize) -> (usize, usize) {
        self.gather(clock::now_ms());
        let (taken, remainder) = self.with_cache(|cache| cache.take(length, align));
        self.unmap(remainder);
        (taken.address, taken.length)
    }

    /// Moves the exact cache's ranges to the extent cache, where they can be coalesced and split. They count as freed
    /// `now`.
    #[cold]
    #[inline(never)]
    fn gather(&self, now: u32) {
        while let Some((address, length)) = self.exact.take_any() {
            self.put(Extent { address, length, since: now });
        }
    }

    /// Puts a range into the extent cache, or unmaps it if there is no room.
    fn put(&self, range: Extent) {
        if !self.with_cache(|cache| cache.put(range)) {
            self.unmap(range);
        }
    }

    /// Puts a range into the exact cache. `false`: it is too long for it, or enough is cached.
    fn cache_exact(&self, address: usize, length: usize) -> bool {
        let share = self.limit / EXACT_SHARE;
        length <= share / exact_cache::RANGES
            && self.cached.load(Ordering::Relaxed) <= self.limit.wrapping_sub(share)
            && self.exact.put(address, length)
    }

    /// Puts a range into the extent cache, or unmaps it if it is longer than the limit.
    #[cold]
    #[inline(never)]
    fn cache_or_unmap(&self, address: usize, length: usize) {
        let now = clock::now_ms();
        let range = Extent { address, length, since: now };
        if length > self.limit {
            self.unmap(range);
        } else {
            self.gather(now);
            self.shrink_cache_to(self.limit.wrapping_sub(length), now);
            self.put(range);
        }
    }

    /// Unmaps a range, which was taken from a cache or cut off a block. The page map first: once unmapped, the address
    /// may be reused by anyone.
    fn unmap(&self, range: Extent) {
        if range.length > 0 {
            // A block may end in the granule in which the range starts.
            let end = range.address.wrapping_add(range.length);
            let first = round_up(range.address, GRANULE).unwrap_or(end);
            if first < end {
                page_map::remove(first, end.wrapping_sub(first));
            }
            mmap::unmap(range.address, range.length);
            self.near.store(round_up(end, GRANULE).unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// Unmaps as many cached bytes as are about to be mapped because no cached range serves, so that the cache never
    /// adds to a program's peak.
    fn trim_cache(&self, length: usize) {
        let cached = self.cached.load(Ordering::Relaxed);
        if cached > 0 {
            self.shrink_cache_to(cached.saturating_sub(length), clock::now_ms());
        }
    }

    /// Unmaps the oldest ranges until no more than `limit` bytes are in the extent cache.
    fn shrink_cache_to(&self, limit: usize, now: u32) {
        while self.cached.load(Ordering::Relaxed) > limit {
            // In two steps: the lock is free while the kernel works.
            let oldest = self.with_cache(|cache| cache.take_oldest(now));
            self.unmap(oldest);
        }
    }
}
