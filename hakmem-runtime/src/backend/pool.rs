//! The shared pool: slabs and SuperSlabs between threads.
//!
//! Acquisition goes through stages, cheapest first; the first two are the heap's own (its partial slabs, its warm
//! slabs):
//!
//! 3. a partial slab of the same class that some thread left: one compare-and-swap;
//! 4. a free slab from the lock-free list: one compare-and-swap;
//! 5. under the lock, several at once: slabs of a SuperSlab in use, else of a new SuperSlab, else of a new region.

use super::free_runs::FreeRunBins;
use super::region::Region;
use crate::meta::tagged_stack::SlabStack;
use crate::slab::remote::Abandon;
use crate::slab::{Geometry, NOBODY, Slab};
use crate::sys::clock;
use crate::sys::lock::Lock;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// Free slabs that the lock-free list keeps at most; more go to the free_runs, where they can be purged.
const LISTED: u32 = 16;

/// Looks at the time in a purge delay, at most, of a heap and of the pool: memory goes back no more than a quarter of the
/// delay late.
pub(crate) const TICKS: u32 = 4;

/// What the pool needs to know of the spec.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolConfig {
    pub(crate) geometry: Geometry,
    pub(crate) huge_pages: bool,
    /// Milliseconds that free memory is kept; `None` is for ever.
    pub(crate) purge_delay: Option<u32>,
}

/// The pool of one allocator.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(super) config: PoolConfig,
    /// Per class: slabs with free blocks that no heap owns.
    partial: &'static [SlabStack],
    /// Single free slabs.
    pub(super) free: SlabStack,
    /// About how many there are in `free`.
    pub(super) listed: AtomicU32,
    pub(super) free_runs: Lock<FreeRunBins>,
    newest_region: AtomicPtr<Region>,
    /// When the next purge is due, in milliseconds.
    pub(super) purge_due: AtomicU32,
}

/// A slab as a node of a [`SlabStack`]: its metadata's address without the seven zero bits.
fn node(slab: *mut Slab) -> u64 {
    slab.expose_provenance() as u64 >> 7
}

/// The slab behind a node.
fn slab_at(node: u64) -> *mut Slab {
    ptr::with_exposed_provenance_mut((node as usize) << 7)
}

/// Puts a slab on a stack.
///
/// # Safety
/// The caller owns the slab and hands it over.
unsafe fn push(stack: &SlabStack, slab: *mut Slab) {
    // SAFETY: metadata is never unmapped.
    stack.push(node(slab), unsafe { &(*slab).below });
}

/// Takes a slab off a stack, or null.
pub(super) fn pop(stack: &SlabStack) -> *mut Slab {
    // SAFETY: every node ever pushed is the metadata of a slab, never unmapped.
    stack.pop(|node| unsafe { &(*slab_at(node)).below }).map_or(ptr::null_mut(), slab_at)
}

impl Pool {
    pub(crate) const fn new(config: PoolConfig, partial: &'static [SlabStack]) -> Pool {
        Pool {
            config,
            partial,
            free: SlabStack::empty(),
            listed: AtomicU32::new(0),
            free_runs: Lock::new(FreeRunBins::EMPTY),
            newest_region: AtomicPtr::new(ptr::null_mut()),
            purge_due: AtomicU32::new(0),
        }
    }

    pub(crate) fn geometry(&self) -> Geometry {
        self.config.geometry
    }

    pub(crate) fn purge_delay(&self) -> Option<u32> {
        self.config.purge_delay
    }

    /// KnownRegions, newest first.
    pub(crate) fn regions(&self) -> impl Iterator<Item = &'static Region> {
        let mut next = self.newest_region.load(Ordering::Acquire);
        core::iter::from_fn(move || {
            if next.is_null() {
                return None;
            }
            // SAFETY: a published region's metadata is never unmapped.
            let region = unsafe { &*next };
            next = region.next();
            Some(region)
        })
    }

    /// Stage 3: a slab that was left with free blocks of `class`; null if there is none. It is the caller's. Who had it since
    /// may have filled it, or used it for another class.
    pub(crate) fn take_partial(&self, class: u32) -> *mut Slab {
        let Some(stack) = self.partial.get(class as usize) else { return ptr::null_mut() };
        loop {
            let slab = pop(stack);
            if slab.is_null() {
                return slab;
            }
            // SAFETY: metadata is never unmapped; where `leave_stack` says so the slab is ours.
            unsafe {
                // Else a free has claimed it where it was, and its owner has it.
                if (*slab).remote.leave_stack() {
                    return slab;
                }
            }
        }
    }

    /// Leaves a slab to whoever frees into it next, or, if it has free blocks, allocates of its class. `false`: it is
    /// still the caller's, for blocks were freed into it; it may even be empty.
    ///
    /// # Safety
    /// The caller owns the slab, which is in no bin.
    pub(crate) unsafe fn abandon(&self, slab: *mut Slab) -> bool {
        // SAFETY: the slab is the caller's until `release`; after that we look at what never changes.
        unsafe {
            let class = (*slab).class();
            let owner = (*slab).owner.load(Ordering::Relaxed);
            // First the name, then the word: from the moment of release another thread may own it and write its own.
            (*slab).owner.store(NOBODY, Ordering::Relaxed);
            match (*slab).remote.release((*slab).has_blocks()) {
                Abandon::Refused => (*slab).owner.store(owner, Ordering::Relaxed),
                Abandon::Done => return true,
                // Another thread may own it by now, but the link is ours: nobody else pushes what is marked as stacked.
                Abandon::NeedsStack => {
                    if let Some(stack) = self.partial.get(class as usize) {
                        push(stack, slab);
                    }
                    return true;
                }
            }
        }
        false
    }

    /// Leaves a slab, in whatever state, to other threads. `false`: it is empty, and still the caller's.
    ///
    /// # Safety
    /// The caller owns the slab, which is in no bin.
    pub(crate) unsafe fn leave(&self, slab: *mut Slab) -> bool {
        // SAFETY: the caller's until it is adrift.
        unsafe {
            while !(*slab).is_empty() {
                if self.abandon(slab) {
                    return true;
                }
                (*slab).collect();
            }
        }
        false
    }

    /// Stages 4 and 5: a free span of `units` slabs, null when there is no memory. Up to `extra` further single slabs go
    /// to `keep` when the lock had to be taken, unless the first is fresh: then somebody may have others to give back.
    pub(crate) fn take_free(
        &self,
        units: u32,
        extra: u32,
        allocator: u8,
        mut keep: impl FnMut(*mut Slab),
    ) -> *mut Slab {
        if units == 1 {
            let slab = pop(&self.free);
            if !slab.is_null() {
                self.listed.fetch_sub(1, Ordering::Relaxed);
                return slab;
            }
        }
        let geometry = self.config.geometry;
        let mut free_runs = self.free_runs.lock();
        // SAFETY: we hold the lock.
        unsafe {
            let mut slab = free_runs.take(units, geometry);
            if slab.is_null() && self.grow(&mut free_runs, allocator) {
                slab = free_runs.take(units, geometry);
            }
            if units == 1 && slab.as_ref().is_some_and(|slab| !slab.fresh.get()) {
                for _ in 0..extra {
                    let more = free_runs.take(1, geometry);
                    if more.is_null() {
                        break;
                    }
                    keep(more);
                }
            }
            slab
        }
    }

    /// Puts one more SuperSlab on the free_runs.
    unsafe fn grow(&self, free_runs: &mut FreeRunBins, allocator: u8) -> bool {
        let PoolConfig { geometry, huge_pages, .. } = self.config;
        // SAFETY: we hold the lock; metadata is never unmapped.
        unsafe {
            if !free_runs.newest_region.is_null() {
                let superslab = (*free_runs.newest_region).commit_next(geometry, huge_pages);
                if !superslab.is_null() {
                    free_runs.place(superslab);
                    return true;
                }
            }
            if free_runs.remap(geometry, allocator) {
                return true;
            }
            let region = Region::reserve(geometry, allocator, huge_pages);
            if region.is_null() {
                return false;
            }
            free_runs.place((&raw mut (*region).superslabs).cast());
            (*region).next.store(free_runs.newest_region, Ordering::Relaxed);
            free_runs.newest_region = region;
            // Release publishes the region to `regions`.
            self.newest_region.store(region, Ordering::Release);
        }
        true
    }

    /// Takes a span back that has no class any more.
    ///
    /// # Safety
    /// The caller owns it, and `end` was called on it.
    pub(crate) unsafe fn put_free(&self, slab: *mut Slab, units: u32) {
        let at_once = self.config.purge_delay == Some(0);
        // SAFETY: the caller's slab. While it is on another stack, its link is in use.
        let linked = unsafe { (*slab).remote.is_stacked() };
        if units == 1 && !at_once && !linked && self.listed.load(Ordering::Relaxed) < LISTED {
            self.listed.fetch_add(1, Ordering::Relaxed);
            // SAFETY: the caller's slab.
            unsafe { push(&self.free, slab) };
            return;
        }
        // SAFETY: the caller's span.
        unsafe { self.put_aside(slab, units) };
        if at_once {
            self.purge(clock::now_ms(), 0);
        }
    }

    /// Puts a span on the free_runs, behind all that the lock-free list has.
    ///
    /// # Safety
    /// As [`Pool::put_free`].
    pub(crate) unsafe fn put_aside(&self, slab: *mut Slab, units: u32) {
        // SAFETY: the caller's span; we hold the lock.
        unsafe { self.free_runs.lock().put(slab, units, clock::now_ms(), self.config.geometry) };
    }

    /// Locks the pool for the length of a fork.
    pub(crate) fn before_fork(&self) {
        self.free_runs.hold_for_fork();
    }

    /// Unlocks it on both sides.
    pub(crate) fn after_fork(&self) {
        self.free_runs.release_after_fork();
    }
}
