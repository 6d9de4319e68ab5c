//! The pool: the slabs that no thread owns, shared by all threads of an allocator. In which order a heap that needs a
//! slab asks for them is in `heap/acquire.rs`.

use super::free_runs::FreeRunBins;
use super::region::Region;
use super::slab_stack::{pop, push};
use crate::meta::tagged_stack::NodeStack;
use crate::slab::remote::Abandon;
use crate::slab::{Geometry, NOBODY, Slab};
use crate::sys::clock;
use crate::sys::lock::Lock;
use core::iter;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// The most free slabs on the lock-free list. The others are in the bins, where they can be purged.
const MAX_LISTED: u32 = 16;

/// How often, at most, a heap is maintained and the pool is purged within a purge delay. A slab in the queue waits at
/// most a quarter longer than the delay, if some thread takes a slow path.
pub(crate) const TICKS: u32 = 4;

/// The pool's settings, from the spec.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolConfig {
    pub(crate) geometry: Geometry,
    pub(crate) huge_pages: bool,
    /// Milliseconds that free memory is kept; `None`: for ever.
    pub(crate) purge_delay: Option<u32>,
}

/// The pool of one allocator.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(super) config: PoolConfig,
    /// For each class: abandoned slabs with free blocks.
    partial: &'static [NodeStack],
    /// Single free slabs.
    pub(super) free: NodeStack,
    /// The length of `free`, off by at most the number of threads that are changing it.
    pub(super) listed: AtomicU32,
    pub(super) free_runs: Lock<FreeRunBins>,
    newest_region: AtomicPtr<Region>,
    /// When the next purge is due, in milliseconds.
    pub(super) purge_due: AtomicU32,
}

impl Pool {
    pub(crate) const fn new(config: PoolConfig, partial: &'static [NodeStack]) -> Pool {
        Pool {
            config,
            partial,
            free: NodeStack::empty(),
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

    /// The regions, newest first.
    pub(crate) fn regions(&self) -> impl Iterator<Item = &'static Region> {
        // Acquire pairs with the Release in `grow`: a region is seen as it was when it was published.
        let newest = self.newest_region.load(Ordering::Acquire);
        // SAFETY: null, or made from a `&'static Region` in `grow`. The references given out here are for `next`,
        // written before the publication and never again, and for the atomics in slab entries.
        iter::successors(unsafe { newest.as_ref() }, |region| region.next())
    }

    /// Reclaims an abandoned slab that had free blocks of the class at `class_index` when it was pushed. Since then a
    /// thread may have reclaimed it, filled it or used it for another class, and abandoned it again.
    pub(crate) fn take_partial(&self, class_index: u32) -> Option<&'static Slab> {
        let stack = self.partial.get(class_index as usize)?;
        // If `leave_stack` returns `false`, a free reclaimed the slab while it was on the stack: it has an owner.
        iter::from_fn(|| pop(stack)).find(|slab| slab.remote.leave_stack())
    }

    /// Abandons a slab, which the caller owns and has in no bin. It may be reclaimed by the next thread that frees into
    /// it, or, if it has free blocks, by a thread that allocates from its class. `false`: it is still the caller's,
    /// because blocks were freed into it in the meantime; it may even be empty.
    pub(crate) fn abandon(&self, slab: &'static Slab) -> bool {
        let class_index = slab.class_index();
        let owner = slab.owner.load(Ordering::Relaxed);
        // The owner before the word: once the word says abandoned, another thread may reclaim the slab and write its
        // own id.
        slab.owner.store(NOBODY, Ordering::Relaxed);
        match slab.remote.abandon(slab.has_free_blocks()) {
            Abandon::Refused => slab.owner.store(owner, Ordering::Relaxed),
            Abandon::Done => return true,
            // Another thread may own the slab already, but its link is ours to write: the word says that it is on a
            // stack, so nobody else pushes it.
            Abandon::NeedsStack => {
                if let Some(stack) = self.partial.get(class_index as usize) {
                    push(stack, slab);
                }
                return true;
            }
        }
        false
    }

    /// Abandons a slab unless it is empty. `false`: it is empty and still the caller's, who should retire it.
    pub(crate) fn abandon_unless_empty(&self, slab: &'static Slab) -> bool {
        while !slab.is_empty() {
            if self.abandon(slab) {
                return true;
            }
            slab.collect_remote();
        }
        false
    }

    /// A free span of `slabs` slabs for the allocator with this id: from the lock-free list, else under the lock from a
    /// SuperSlab in use, else from a new SuperSlab. `None`: no memory.
    ///
    /// If the lock had to be taken, up to `extra` more single slabs are passed to `keep`, unless the first one is
    /// fresh: then no used memory was free, and the caller may find some elsewhere before it takes more fresh memory.
    pub(crate) fn take_free(
        &self,
        slabs: u32,
        extra: u32,
        id: u8,
        mut keep: impl FnMut(&'static Slab),
    ) -> Option<&'static Slab> {
        if slabs == 1
            && let Some(slab) = self.take_listed()
        {
            return Some(slab);
        }
        let geometry = self.config.geometry;
        let mut free_runs = self.free_runs.lock();
        let mut slab = free_runs.take(slabs, geometry);
        // Twice, because the first SuperSlab of a region, which holds its metadata, may be too short.
        for _ in 0..2 {
            if slab.is_none() && self.grow(&mut free_runs, id) {
                slab = free_runs.take(slabs, geometry);
            }
        }
        if slabs == 1 && slab.is_some_and(|slab| !slab.fresh.get()) {
            iter::from_fn(|| free_runs.take(1, geometry)).take(extra as usize).for_each(&mut keep);
        }
        slab
    }

    /// A slab from the lock-free list.
    pub(super) fn take_listed(&self) -> Option<&'static Slab> {
        let slab = pop(&self.free)?;
        self.listed.fetch_sub(1, Ordering::Relaxed);
        Some(slab)
    }

    /// Adds a SuperSlab: the newest region's next, else an unmapped one, mapped again, else the first of a new region.
    /// `false`: no memory.
    fn grow(&self, free_runs: &mut FreeRunBins, id: u8) -> bool {
        let PoolConfig { geometry, huge_pages, .. } = self.config;
        let newest = free_runs.newest_region;
        if let Some(superslab) = newest.and_then(|region| region.commit_next(geometry, huge_pages)) {
            free_runs.insert(superslab);
            return true;
        }
        if free_runs.remap(geometry, id) {
            return true;
        }
        let Some(region) = Region::reserve(geometry, id, huge_pages, newest) else { return false };
        if let Some(newest) = newest {
            // The kernel may have refused to commit its rest, which is never asked for again.
            newest.unmap_reserve(geometry);
        }
        region.committed().for_each(|superslab| free_runs.insert(superslab));
        free_runs.newest_region = Some(region);
        // Release publishes the region to `regions`.
        self.newest_region.store(ptr::from_ref(region).cast_mut(), Ordering::Release);
        true
    }

    /// Takes back a span, which the caller owns and has reset.
    pub(crate) fn put_free(&self, slab: &'static Slab, slabs: u32) {
        let at_once = self.config.purge_delay == Some(0);
        // A slab still on a stack of partial slabs cannot be on a second stack: its link is in use.
        let linked = slab.remote.is_stacked();
        if slabs == 1 && !at_once && !linked && self.listed.load(Ordering::Relaxed) < MAX_LISTED {
            self.listed.fetch_add(1, Ordering::Relaxed);
            push(&self.free, slab);
            return;
        }
        self.put_aside(slab, slabs);
        if at_once {
            self.purge(clock::now_ms(), 0);
        }
    }

    /// Like [`Pool::put_free`], but into the bins, so that it is taken after everything on the lock-free list.
    pub(crate) fn put_aside(&self, slab: &'static Slab, slabs: u32) {
        self.free_runs.lock().put(slab, slabs, clock::now_ms(), self.config.geometry);
    }

    /// Locks the pool for a fork.
    pub(crate) fn hold_for_fork(&self) {
        self.free_runs.hold_for_fork();
    }

    /// Unlocks the pool after a fork, in the parent and in the child.
    pub(crate) fn release_after_fork(&self) {
        self.free_runs.release_after_fork();
    }
}
