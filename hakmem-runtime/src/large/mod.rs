//! Large blocks: what no class holds is mapped directly, kept for a short while after its free, and grown by `mremap`.
//!
//! A large block starts at a multiple of the registry's granule (2 MiB) or of its alignment if that is more. So no two
//! share a granule, the registry knows each one's length, and transparent huge pages fit. The rounding is address space,
//! not memory.

mod kept;

use crate::allocator::Allocator;
use crate::os::clock;
use crate::os::die::die;
use crate::os::lock::Lock;
use crate::os::memory::{self, Access, round_up};
use crate::os::registry::{self, GRANULE, Owner};
use core::ptr;
use kept::{Kept, NONE, Range, SLACK};

/// The large blocks of one allocator.
#[derive(Debug)]
pub struct Large {
    kept: Lock<Kept>,
    /// Bytes that are kept at most.
    limit: usize,
}

impl Large {
    pub(crate) const fn new(limit: usize) -> Large {
        Large { kept: Lock::new(Kept::NOTHING), limit }
    }

    /// Maps `size` bytes at a multiple of `align`. Null: no memory, or no such amount.
    #[cold]
    #[inline(never)]
    pub fn allocate(&self, owner: &'static Allocator, size: usize, align: usize) -> *mut u8 {
        owner.initialise();
        let Some(length) = round_up(size, memory::page_size()) else { return ptr::null_mut() };
        let taken = self.kept.lock().take(length, align);
        if taken.length > 0 {
            let id = owner.id();
            let length = trim(taken, length);
            // The leaves are there: the range was entered when it was mapped.
            registry::enter(taken.address, length, Owner::Large(id, length), Owner::LargeRest(id));
            return ptr::with_exposed_provenance_mut(taken.address);
        }
        ptr::with_exposed_provenance_mut(self.map(owner, length, align))
    }

    /// As [`Large::allocate`], zeroed: always a new mapping, which is zero without being written.
    #[cold]
    #[inline(never)]
    pub fn allocate_zeroed(&self, owner: &'static Allocator, size: usize, align: usize) -> *mut u8 {
        owner.initialise();
        let Some(length) = round_up(size, memory::page_size()) else { return ptr::null_mut() };
        ptr::with_exposed_provenance_mut(self.map(owner, length, align))
    }

    fn map(&self, owner: &Allocator, length: usize, align: usize) -> usize {
        self.make_way(length);
        let align = align.max(GRANULE);
        let mut address = memory::map(length, align, Access::ReadWrite);
        if address == 0 {
            // Before giving up, give back what is only kept.
            owner.make_room();
            address = memory::map(length, align, Access::ReadWrite);
            if address == 0 {
                return 0;
            }
        }
        let id = owner.id();
        if !registry::enter(address, length, Owner::Large(id, length), Owner::LargeRest(id)) {
            memory::unmap(address, length);
            return 0;
        }
        address
    }

    /// Frees a block.
    ///
    /// # Safety
    /// `block` came from this allocator's large blocks and is not used any more.
    #[cold]
    #[inline(never)]
    pub unsafe fn free(&self, owner: &'static Allocator, block: *mut u8) {
        let address = block.expose_provenance();
        let length = self.length(owner, address);
        let now = clock::now_ms();
        let range = Range { address, length, since: now };
        // What is kept is nobody's: a second free of it must not find a large block there.
        registry::enter(address, 1, Owner::LargeRest(owner.id()), Owner::Nobody);
        if length > self.limit || owner.pool().purge_delay() == Some(0) {
            release(range);
        } else {
            self.shrink_to(self.limit.wrapping_sub(length), now);
            if !self.kept.lock().put(range) {
                release(range);
            }
        }
        // A program that allocates nothing but large blocks meets no other slow path.
        owner.purge_if_due(now);
    }

    /// Resizes a block that remains large; moves pages, never bytes. Null: no memory, and the block is as it was.
    ///
    /// # Safety
    /// `block` came from this allocator's large blocks with this alignment; on success it is not used any more.
    #[cold]
    #[inline(never)]
    pub unsafe fn resize(&self, owner: &'static Allocator, block: *mut u8, new_size: usize, align: usize) -> *mut u8 {
        let address = block.expose_provenance();
        let old = self.length(owner, address);
        let Some(new) = round_up(new_size, memory::page_size()) else { return ptr::null_mut() };
        if new == old {
            return block;
        }
        let id = owner.id();
        if new < old {
            registry::remove(address.wrapping_add(new), old.wrapping_sub(new));
            registry::enter(address, new, Owner::Large(id, new), Owner::LargeRest(id));
            memory::unmap(address.wrapping_add(new), old.wrapping_sub(new));
            return block;
        }
        if self.extend(address, old, new) {
            if registry::enter(address, new, Owner::Large(id, new), Owner::LargeRest(id)) {
                return block;
            }
            memory::unmap(address.wrapping_add(old), new.wrapping_sub(old));
            return ptr::null_mut();
        }
        self.make_way(new.wrapping_sub(old));
        let mut target = memory::map(new, align.max(GRANULE), Access::Reserved);
        if target == 0 {
            owner.make_room();
            target = memory::map(new, align.max(GRANULE), Access::Reserved);
            if target == 0 {
                return ptr::null_mut();
            }
        }
        if !registry::enter(target, new, Owner::Large(id, new), Owner::LargeRest(id)) {
            memory::unmap(target, new);
            return ptr::null_mut();
        }
        registry::remove(address, old);
        if !memory::resize_to(address, old, new, target) {
            registry::enter(address, old, Owner::Large(id, old), Owner::LargeRest(id));
            registry::remove(target, new);
            memory::unmap(target, new);
            // SAFETY: as of this function.
            return unsafe { self.copy(owner, block, old, new, align) };
        }
        ptr::with_exposed_provenance_mut(target)
    }

    /// Makes a block longer where it stands, if there is room behind it, which is common: its start was rounded to a
    /// granule and its end was not; and behind that may be memory that is kept.
    fn extend(&self, address: usize, old: usize, new: usize) -> bool {
        let end = address.wrapping_add(old);
        let Some(edge) = round_up(end, GRANULE) else { return false };
        let more = address.wrapping_add(new).saturating_sub(edge);
        let behind = if more > 0 { self.kept.lock().take_at(edge, more) } else { NONE };
        if behind.length == 0 {
            return memory::resize_in_place(address, old, new);
        }
        if edge == end || memory::resize_in_place(address, old, edge.wrapping_sub(address)) {
            memory::unmap(edge.wrapping_add(more), behind.length.wrapping_sub(more));
            return true;
        }
        if !self.kept.lock().put(behind) {
            release(behind);
        }
        false
    }

    /// Resizes by copying, for a block that is more than one mapping to the kernel, because it has grown into another.
    ///
    /// # Safety
    /// As [`Large::resize`].
    #[cold]
    unsafe fn copy(&self, owner: &'static Allocator, block: *mut u8, old: usize, new: usize, align: usize) -> *mut u8 {
        let target = self.allocate(owner, new, align);
        if !target.is_null() {
            // SAFETY: both blocks are of this length at least, and ours; the old one is not used any more.
            unsafe {
                ptr::copy_nonoverlapping(block, target, old);
                self.free(owner, block);
            }
        }
        target
    }

    /// Unmaps as many kept bytes as are mapped now for want of a range that serves: what is kept never adds to what a
    /// program needs at its peak.
    fn make_way(&self, length: usize) {
        let bytes = self.kept.lock().bytes;
        if bytes > 0 {
            self.shrink_to(bytes.saturating_sub(length), clock::now_ms());
        }
    }

    /// Unmaps the ranges kept longest until no more than `limit` bytes are kept.
    fn shrink_to(&self, limit: usize, now: u32) {
        loop {
            let mut kept = self.kept.lock();
            if kept.bytes <= limit {
                return;
            }
            let oldest = kept.take_oldest(now);
            drop(kept); // The kernel works while the lock is free.
            release(oldest);
        }
    }

    /// The mapping's length, from the registry. Anything else that claims to be a large block ends the program.
    fn length(&self, owner: &Allocator, address: usize) -> usize {
        match registry::owner(address) {
            Owner::Large(id, length) if id == owner.id() && address & (GRANULE - 1) == 0 => length,
            _ => die("a large block was freed or resized that this allocator did not allocate", address),
        }
    }

    /// Unmaps what has been kept for `delay` milliseconds.
    pub(crate) fn purge(&self, now: u32, delay: u32) {
        loop {
            let Some(mut kept) = self.kept.try_lock() else { return };
            let aged = kept.take_aged(now, delay);
            drop(kept);
            if aged.length == 0 {
                return;
            }
            release(aged);
        }
    }

    /// For how long the range kept longest has been kept by `now`.
    pub(crate) fn oldest(&self, now: u32) -> Option<u32> {
        self.kept.lock().oldest(now)
    }

    pub(crate) fn before_fork(&self) {
        self.kept.acquire();
    }

    pub(crate) fn after_fork(&self) {
        // SAFETY: `before_fork` took the lock on this thread.
        unsafe { self.kept.release() };
    }
}

/// Gives back what a range has beyond `length` bytes and a quarter more. Returns its length then.
fn trim(range: Range, length: usize) -> usize {
    if range.length <= length.saturating_add(length / SLACK) {
        return range.length;
    }
    memory::unmap(range.address.wrapping_add(length), range.length.wrapping_sub(length));
    length
}

/// Unmaps a range and takes it out of the registry, first there: an address never is ours when the kernel has it.
fn release(range: Range) {
    registry::remove(range.address, range.length);
    memory::unmap(range.address, range.length);
}
