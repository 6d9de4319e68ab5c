//! The one static that a generated allocator owns: its pool, its large blocks, and what they need to know of the spec.

use crate::backend::{Pool, PoolConfig, TICKS};
use crate::extent::Extents;
use crate::heap::{Heap, Portion, Reclaim, lifetime};
use crate::meta::page_map::{self, Owner};
use crate::meta::tagged_stack::SlabStack;
use crate::slab::Geometry;
use crate::slab::class::Class;
use crate::sys::fork;
use crate::sys::lock::Lock;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// The spec's values that are not a class's.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Bytes of a SuperSlab, a power of two.
    pub superslab: u32,
    /// Bytes of a slab, a power of two.
    pub slab: u32,
    /// Whether SuperSlabs ask for transparent huge pages.
    pub huge_pages: bool,
    /// Milliseconds that free memory is kept before it goes back to the system; `None` is for ever.
    pub purge_delay_ms: Option<u32>,
    /// Bytes of freed large blocks kept for reuse.
    pub large_cache: usize,
}

/// An allocator. Generated code has one in a static and never drops it.
#[derive(Debug)]
pub struct Allocator {
    classes: &'static [Class],
    pool: Pool,
    large: Extents,
    ready: AtomicU32,
    /// This allocator's number in the page map; 0 before its first use.
    id: AtomicU32,
    /// The pthread key whose destructor ends a thread's heap, plus one; 0 where there was none to be had.
    exit_key: AtomicU32,
    idle_heaps: Lock<IdleHeaps>,
    /// Bytes of a thread's front where it stands beside its heap; else 0.
    front: usize,
    /// What empties the stores that threads share, where the spec names a layer with any.
    reclaim: Option<Reclaim>,
    /// The allocator that was first used before this one.
    pub(crate) next: AtomicPtr<Allocator>,
}

/// Heaps whose threads are gone, linked through themselves.
#[derive(Debug)]
struct IdleHeaps(*mut Heap);

// SAFETY: an idle heap belongs to the list, and the list to the lock's holder.
unsafe impl Send for IdleHeaps {}

// SAFETY: every part is an atomic, behind a lock, or constant.
unsafe impl Sync for Allocator {}

impl Allocator {
    /// An allocator that has done nothing yet. `partial` has one stack per class.
    pub const fn new(config: Config, classes: &'static [Class], partial: &'static [SlabStack]) -> Allocator {
        assert!(classes.len() == partial.len(), "one stack of partial slabs per class");
        let pool_config = PoolConfig {
            geometry: Geometry::new(config.superslab, config.slab),
            huge_pages: config.huge_pages,
            purge_delay: config.purge_delay_ms,
        };
        Allocator {
            classes,
            pool: Pool::new(pool_config, partial),
            // Where memory goes back at once, none is kept.
            large: Extents::new(if matches!(config.purge_delay_ms, Some(0)) { 0 } else { config.large_cache }),
            ready: AtomicU32::new(0),
            id: AtomicU32::new(0),
            exit_key: AtomicU32::new(0),
            idle_heaps: Lock::new(IdleHeaps(ptr::null_mut())),
            front: 0,
            reclaim: None,
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The same with room for a front of `bytes` beside each heap.
    #[must_use]
    pub const fn with_front(self, bytes: usize) -> Allocator {
        Allocator { front: bytes, ..self }
    }

    /// The same with a way to empty the stores that threads share.
    #[must_use]
    pub const fn with_reclaim(self, reclaim: Reclaim) -> Allocator {
        Allocator { reclaim: Some(reclaim), ..self }
    }

    /// The classes, in the order of the generated slots.
    pub fn classes(&self) -> &'static [Class] {
        self.classes
    }

    /// Blocks that no class holds.
    pub fn large(&self) -> &Extents {
        &self.large
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) fn front(&self) -> usize {
        self.front
    }

    pub(crate) fn id(&self) -> u8 {
        self.id.load(Ordering::Relaxed) as u8
    }

    pub(crate) fn class(&self, class: u32) -> &'static Class {
        debug_assert!((class as usize) < self.classes.len());
        // SAFETY: a slab's class was set from a slot of generated code, of which there is one per class.
        unsafe { self.classes.get_unchecked(class as usize) }
    }

    /// Whether `address` lies in memory of this allocator: constant time, no system call, no touch of the memory.
    pub fn owns(&self, address: usize) -> bool {
        match page_map::owner(address) {
            Owner::Nobody => false,
            Owner::Region(id) | Owner::Large(id, _) | Owner::LargeRest(id) => id == self.id(),
        }
    }

    /// The slot of the class of a block.
    ///
    /// # Safety
    /// The block is allocated, of a class of this allocator.
    #[doc(hidden)]
    pub unsafe fn slot_of(&self, block: *mut u8) -> usize {
        // SAFETY: the caller's contract.
        unsafe { (*self.pool.geometry().slab_of(block.addr())).class() as usize }
    }

    /// The class of the slab that `address` is in, or `NO_CLASS`; `None` where `address` is not in one of ours.
    pub(crate) fn class_at(&self, address: usize) -> Option<u32> {
        match page_map::owner(address) {
            // SAFETY: the address is in a region of this allocator, whose entries can be read, in use or not.
            Owner::Region(id) if id == self.id() => unsafe { Some((*self.pool.geometry().slab_of(address)).class()) },
            _ => None,
        }
    }

    /// Prepares the allocator on its first use: a number, a pthread key, a place in the list for fork.
    pub fn initialise(&'static self) {
        if self.ready.load(Ordering::Acquire) == 0 {
            self.initialise_first();
        }
    }

    #[cold]
    fn initialise_first(&'static self) {
        let mut allocators = fork::ALLOCATORS.lock();
        if self.ready.load(Ordering::Relaxed) == 0 {
            let mut key = 0;
            // SAFETY: `key` is a place for the result, and the destructor takes what `arm_exit` stores.
            if unsafe { libc::pthread_key_create(&raw mut key, Some(lifetime::exit)) } == 0 {
                self.exit_key.store(key.wrapping_add(1), Ordering::Relaxed);
            }
            // More than 255 allocators in one program share the last number; only `owns` could tell.
            self.id.store(u32::from(allocators.add(self)), Ordering::Relaxed);
            self.ready.store(1, Ordering::Release);
        }
        drop(allocators);
        fork::install();
    }

    /// Makes the end of this thread end `heap`.
    pub(crate) fn arm_exit(&self, heap: *mut Heap) {
        let key = self.exit_key.load(Ordering::Relaxed);
        if key != 0 {
            // SAFETY: the key exists. A failure leaves the heap without an end, which loses its memory and no more.
            unsafe { libc::pthread_setspecific(key.wrapping_sub(1), heap.cast()) };
        }
    }

    /// A heap left by a thread that is gone, or null.
    pub(crate) fn take_idle_heap(&self) -> *mut Heap {
        let mut idle = self.idle_heaps.lock();
        let heap = idle.0;
        if !heap.is_null() {
            // SAFETY: heaps are never freed, and those on the list are the lock holder's.
            idle.0 = unsafe { (*heap).idle_next.get() };
        }
        heap
    }

    /// Lets a heap wait for another thread.
    pub(crate) fn put_idle_heap(&self, heap: *mut Heap) {
        let mut idle = self.idle_heaps.lock();
        // SAFETY: the heap is the caller's, and no thread's any more.
        unsafe { (*heap).idle_next.set(idle.0) };
        idle.0 = heap;
    }

    /// Gives a portion of what threads share in their layers back to the slabs. `true`: there was something. `heap` is the
    /// calling thread's.
    pub(crate) fn reclaim(&self, heap: Option<&Heap>, portion: Portion) -> bool {
        let Some(reclaim) = self.reclaim else { return false };
        match heap {
            Some(heap) => heap.reclaim(reclaim, portion),
            None => reclaim(None, portion),
        }
    }

    /// Gives memory back that has been free for long enough; cheap when it is not time. `heap` is the calling thread's, where
    /// that is at hand.
    pub(crate) fn purge_if_due(&self, heap: Option<&Heap>, now: u32) {
        let Some(delay) = self.pool.purge_delay() else { return };
        if self.pool.is_due(now, delay) {
            self.reclaim(heap, Portion::Unused);
            self.give_back(now, delay);
        }
    }

    /// Gives back what has been free for `delay` milliseconds. `Some`: in so many more there is something else to give back;
    /// `None`: nothing waits.
    pub(crate) fn purge_aged(&self, now: u32, delay: u32) -> Option<u32> {
        let shared = self.reclaim(None, Portion::Unused);
        self.give_back(now, delay);
        let age = [self.pool.oldest(now), self.large.oldest(now), shared.then_some(0)].into_iter().flatten().max()?;
        // Much is due at nearly the same time, and goes back together.
        Some(delay.saturating_sub(age).max(delay / TICKS).max(1))
    }

    fn give_back(&self, now: u32, delay: u32) {
        self.pool.gather(now);
        self.pool.purge(now, delay);
        self.large.purge(now, delay);
    }

    /// Gives back all memory that is free now, without waiting for the delay. `heap` is the calling thread's.
    pub fn purge(&self, heap: Option<&Heap>) {
        self.reclaim(heap, Portion::All);
        if let Some(heap) = heap {
            heap.maintain();
            heap.release_warm();
        }
        self.give_back(crate::sys::clock::now_ms(), 0);
    }

    /// Gives back memory and address space that is only kept, because the system has no more for a large block.
    #[cold]
    pub(crate) fn trim_all(&self) {
        self.purge(None);
        self.pool.release_address_space();
    }

    pub(crate) fn before_fork(&self) {
        self.idle_heaps.hold_for_fork();
        self.large.before_fork();
        self.pool.before_fork();
    }

    pub(crate) fn after_fork(&self) {
        self.pool.after_fork();
        self.large.after_fork();
        self.idle_heaps.release_after_fork();
    }
}
