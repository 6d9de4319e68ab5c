//! Large blocks: what no class holds is mapped directly, kept for a short while after its free, and grown by `mremap`.
//!
//! A large block starts at a multiple of the registry's granule (2 MiB) or of its alignment if that is more. So no two
//! share a granule, the registry knows each one's length, and transparent huge pages fit. The rounding is address space,
//! not memory.

use crate::allocator::Allocator;
use crate::os::clock;
use crate::os::die::die;
use crate::os::lock::Lock;
use crate::os::memory::{self, Access, round_up};
use crate::os::registry::{self, GRANULE, Owner};
use core::ptr;

/// Freed mappings kept at most.
const KEPT: usize = 16;

/// A kept mapping serves a request if it is at most this fraction (1/4) longer: more would be waste.
const SLACK: usize = 4;

/// The large blocks of one allocator.
#[derive(Debug)]
pub struct Large {
    cache: Lock<Cache>,
    /// Bytes that the cache keeps at most.
    limit: usize,
}

/// A freed mapping. Length 0 is no mapping.
#[derive(Debug, Clone, Copy)]
struct Kept {
    address: usize,
    length: usize,
    since: u32,
}

const NONE: Kept = Kept { address: 0, length: 0, since: 0 };

/// # Invariants
/// `bytes` is the sum of all lengths, and at most `limit`.
#[derive(Debug)]
struct Cache {
    kept: [Kept; KEPT],
    bytes: usize,
}

impl Large {
    pub(crate) const fn new(limit: usize) -> Large {
        Large { cache: Lock::new(Cache { kept: [NONE; KEPT], bytes: 0 }), limit }
    }

    /// Maps `size` bytes at a multiple of `align`. Null: no memory, or no such amount.
    #[cold]
    #[inline(never)]
    pub fn allocate(&self, owner: &'static Allocator, size: usize, align: usize) -> *mut u8 {
        owner.initialise();
        let Some(length) = round_up(size, memory::page_size()) else { return ptr::null_mut() };
        let kept = self.cache.lock().take(length, align);
        if kept.length > 0 {
            registry::enter(kept.address, 1, Owner::Large(owner.id(), kept.length), Owner::Nobody);
            return ptr::with_exposed_provenance_mut(kept.address);
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
        // At most a quarter of the cache for one mapping: a single huge block would only push out what is reused.
        let keep = length <= self.limit / 4 && owner.pool().purge_delay() != Some(0);
        if keep {
            // A kept block is nobody's: a second free of it must not find a large block there.
            registry::enter(address, 1, Owner::LargeRest(owner.id()), Owner::Nobody);
            let mut cache = self.cache.lock();
            loop {
                if cache.bytes.wrapping_add(length) <= self.limit && cache.put(Kept { address, length, since: now }) {
                    break;
                }
                // Unmapping under the lock is rare: a full cache turns over one for one.
                release(cache.take_oldest());
            }
        } else {
            release(Kept { address, length, since: now });
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
        // Room behind a block is common: its start was rounded to a granule and its end was not.
        if memory::resize_in_place(address, old, new) {
            if registry::enter(address, new, Owner::Large(id, new), Owner::LargeRest(id)) {
                return block;
            }
            memory::resize_in_place(address, new, old);
            return ptr::null_mut();
        }
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
            return ptr::null_mut();
        }
        ptr::with_exposed_provenance_mut(target)
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
        let Some(mut cache) = self.cache.try_lock() else { return };
        for index in 0..KEPT {
            let kept = cache.at(index);
            if kept.length > 0 && now.wrapping_sub(kept.since) >= delay {
                cache.remove(index);
                release(kept);
            }
        }
    }

    pub(crate) fn before_fork(&self) {
        self.cache.acquire();
    }

    pub(crate) fn after_fork(&self) {
        // SAFETY: `before_fork` took the lock on this thread.
        unsafe { self.cache.release() };
    }
}

/// Unmaps a mapping and takes it out of the registry, first there: an address never is ours when the kernel has it.
fn release(kept: Kept) {
    if kept.length > 0 {
        registry::remove(kept.address, kept.length);
        memory::unmap(kept.address, kept.length);
    }
}

impl Cache {
    fn at(&self, index: usize) -> Kept {
        self.kept.get(index).copied().unwrap_or(NONE)
    }

    fn remove(&mut self, index: usize) {
        if let Some(place) = self.kept.get_mut(index) {
            self.bytes = self.bytes.wrapping_sub(place.length);
            *place = NONE;
        }
    }

    /// The shortest that serves, or none.
    fn take(&mut self, length: usize, align: usize) -> Kept {
        let most = length.saturating_add(length / SLACK);
        let mut best = (0, NONE);
        for index in 0..KEPT {
            let kept = self.at(index);
            let fits = kept.length >= length && kept.length <= most && kept.address & align.wrapping_sub(1) == 0;
            if fits && (best.1.length == 0 || kept.length < best.1.length) {
                best = (index, kept);
            }
        }
        if best.1.length > 0 {
            self.remove(best.0);
        }
        best.1
    }

    /// The one kept longest, or none.
    fn take_oldest(&mut self) -> Kept {
        let mut oldest = (0, NONE);
        for index in 0..KEPT {
            let kept = self.at(index);
            let older = kept.since.wrapping_sub(oldest.1.since) > u32::MAX / 2;
            if kept.length > 0 && (oldest.1.length == 0 || older) {
                oldest = (index, kept);
            }
        }
        self.remove(oldest.0);
        oldest.1
    }

    /// Keeps a mapping; `false` without a free place.
    fn put(&mut self, new: Kept) -> bool {
        for place in &mut self.kept {
            if place.length == 0 {
                *place = new;
                self.bytes = self.bytes.wrapping_add(new.length);
                return true;
            }
        }
        false
    }
}
