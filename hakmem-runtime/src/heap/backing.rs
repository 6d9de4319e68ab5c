//! What the heaps of one allocator share.

use super::maintain::Holes;
use super::presence::Presences;
use super::{Heap, Portion, Trim};
use crate::backend::{Pool, TICKS};
use crate::extent::{Caller, Extents};
use crate::meta::page_map::{self, Occupant};
use crate::slab::class::Class;
use crate::slab::{Slab, SlabList};
use crate::sys::clock;
use crate::sys::lock::Lock;
use crate::sys::thread_key::ThreadKey;
use core::sync::atomic::{AtomicU32, Ordering};

/// What the heaps call or need to know of the layers, which are above them.
#[derive(Debug, Clone, Copy)]
pub struct LayerHooks {
    trim: Option<Trim>,
    unlist: Option<fn(&Slab)>,
    thread_cache_bytes: usize,
}

impl LayerHooks {
    /// `trim` flushes the stores that layers share between threads, if there are any. `pages`: whether a layer uses the
    /// lists in slabs. `thread_cache_bytes`: the size of a thread cache beside its heap, else 0.
    ///
    /// The functions are pointers so that a binary whose spec does not need them does not link them.
    pub const fn new(trim: Option<Trim>, pages: bool, thread_cache_bytes: usize) -> LayerHooks {
        LayerHooks { trim, unlist: if pages { Some(Slab::unlist) } else { None }, thread_cache_bytes }
    }
}

/// What the heaps of one allocator share: classes, free memory, large blocks, idle heaps.
#[derive(Debug)]
pub struct Backing {
    classes: &'static [Class],
    pool: Pool,
    extents: Extents,
    /// The allocator's number in the page map; 0 before its first use.
    id: AtomicU32,
    /// Ends a thread's heap with the thread.
    key: ThreadKey<Heap>,
    idle: Lock<IdleHeaps>,
    /// Held by the keeper.
    pub(super) keeper: Lock<()>,
    pub(super) presences: Presences,
    hooks: LayerHooks,
}

/// The heaps whose threads have ended, linked by `Heap::idle_next`.
#[derive(Debug)]
struct IdleHeaps(Option<&'static Heap>);

// SAFETY: a heap on the list has no thread: `exit` put it there last of all. The list is behind a lock, which orders
// what one thread wrote to a heap before what the next one reads.
unsafe impl Send for IdleHeaps {}

impl Backing {
    pub(crate) const fn new(classes: &'static [Class], pool: Pool, extents: Extents, hooks: LayerHooks) -> Backing {
        Backing {
            classes,
            pool,
            extents,
            id: AtomicU32::new(0),
            key: ThreadKey::new(),
            idle: Lock::new(IdleHeaps(None)),
            keeper: Lock::new(()),
            presences: Presences::none(),
            hooks,
        }
    }

    pub(crate) fn classes(&self) -> &'static [Class] {
        self.classes
    }

    /// The class at `class_index`, which is that of a class of this allocator: it comes from a slab that has a class,
    /// or from generated code.
    pub(crate) fn class(&self, class_index: u32) -> &'static Class {
        debug_assert!((class_index as usize) < self.classes.len());
        // SAFETY: indices come from generated code, by the contract of `Slabs::new`, or from slabs of this allocator,
        // which got theirs in `Heap::init_slab` from such an index.
        unsafe { self.classes.get_unchecked(class_index as usize) }
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) fn extents(&self) -> &Extents {
        &self.extents
    }

    pub(crate) fn id(&self) -> u8 {
        self.id.load(Ordering::Relaxed) as u8
    }

    pub(crate) fn set_id(&self, id: u8) {
        self.id.store(id.into(), Ordering::Relaxed);
    }

    pub(super) fn thread_cache_bytes(&self) -> usize {
        self.hooks.thread_cache_bytes
    }

    /// `Slab::unlist`, if a layer uses the lists in slabs.
    pub(super) fn unlist(&self) -> Option<fn(&Slab)> {
        self.hooks.unlist
    }

    pub(crate) fn key(&self) -> &ThreadKey<Heap> {
        &self.key
    }

    /// Whether `address` lies in memory of this allocator.
    pub(crate) fn owns(&self, address: usize) -> bool {
        match page_map::occupant_of(address) {
            Occupant::None => false,
            Occupant::Region(id) | Occupant::Segment(id, _) => id == self.id(),
        }
    }

    /// The slab at `address`; `None` if that is not in a region of this allocator.
    pub(crate) fn slab_at(&self, address: usize) -> Option<&'static Slab> {
        match page_map::occupant_of(address) {
            // SAFETY: the address is in a region of this allocator, so of the pool's geometry.
            Occupant::Region(id) if id == self.id() => Some(unsafe { self.pool.geometry().slab_of(address) }),
            _ => None,
        }
    }

    /// The class index of the slab at `address`, or [`NO_CLASS`](crate::slab::NO_CLASS); `None` if `address` is not in
    /// a region of this allocator.
    pub(crate) fn class_at(&self, address: usize) -> Option<u32> {
        self.slab_at(address).map(Slab::class_index)
    }

    /// The calling thread, whose heap this is, for the extents.
    #[inline]
    pub(crate) fn caller<'a>(&self, heap: Option<&'a Heap>) -> Caller<'a> {
        Caller { id: self.id(), cache: heap.map(|heap| &heap.extents) }
    }

    /// Takes an idle heap, if there is one.
    pub(super) fn take_idle(&self) -> Option<&'static Heap> {
        let mut idle = self.idle.lock();
        let heap = idle.0?;
        idle.0 = heap.idle_next.get();
        Some(heap)
    }

    /// Adds a heap whose thread does not use it any more to the idle ones.
    pub(super) fn put_idle(&self, heap: &'static Heap) {
        let mut idle = self.idle.lock();
        heap.idle_next.set(idle.0);
        idle.0 = Some(heap);
    }

    /// Flushes a portion of the blocks that layers share between threads to the slabs. `true`: there were some. `heap`
    /// is the calling thread's.
    pub(super) fn trim(&self, heap: Option<&Heap>, portion: Portion) -> bool {
        let Some(trim) = self.hooks.trim else { return false };
        match heap {
            Some(heap) => heap.trim(trim, portion),
            None => trim(None, portion),
        }
    }

    /// Purges memory that has been free for the purge delay, if a purge is due. `heap` is the calling thread's, if the
    /// caller has it.
    pub(crate) fn purge_if_due(&self, heap: Option<&Heap>, now: u32) {
        let Some(delay) = self.pool.purge_delay() else { return };
        if self.pool.claim_purge(now, delay) {
            self.trim(heap, Portion::Unused);
            self.empty_cache_of(heap);
            self.purge_free(now, delay);
        }
    }

    /// Purges memory that has been free for `delay` milliseconds. `Some(n)`: call it again in `n` milliseconds. `None`:
    /// no memory waits for a purge.
    pub(crate) fn purge_aged(&self, now: u32, delay: u32) -> Option<u32> {
        let shared = self.trim(None, Portion::Unused);
        let changed = self.purge_abandoned(now, delay);
        self.purge_free(now, delay);
        let ages = [self.pool.oldest(now), self.extents.oldest(now), (shared || changed).then_some(0)];
        let age = ages.into_iter().flatten().max()?;
        // Not at once when the next memory is due: what becomes due soon after it is purged together with it.
        Some(delay.saturating_sub(age).max(delay / TICKS).max(1))
    }

    /// Puts back the large blocks that the calling thread, whose heap this is, has cached. Other threads need the kernel's
    /// help for that, which it may refuse.
    pub(super) fn empty_cache_of(&self, heap: Option<&Heap>) {
        self.extents.empty(heap.map(|heap| &heap.extents));
    }

    /// Purges the holes of a slab, which the caller owns and no thread cache pops from.
    pub(super) fn purge_holes(&self, slab: &Slab, class: &Class) {
        if let Some(unlist) = self.unlist() {
            unlist(slab);
        }
        slab.purge_holes(class);
    }

    /// Retires abandoned slabs that are empty, and purges the holes of those that have not changed for `delay` milliseconds.
    /// `true`: some have. This takes milliseconds where there are many, so threads of the program do not do it on slow paths.
    fn purge_abandoned(&self, now: u32, delay: u32) -> bool {
        let mut wait = false;
        for (class_index, class) in self.classes.iter().enumerate() {
            let (all, settled) = (SlabList::EMPTY, SlabList::EMPTY);
            // All of them first: what is put back goes where it comes from.
            while let Some(slab) = self.pool.take_partial(class_index as u32) {
                all.push(slab);
            }
            while let Some(slab) = all.pop() {
                slab.collect_remote();
                // It may have got another class since it was put there.
                let has_settled = slab.class_index() == class_index as u32 && slab.has_settled(now, delay);
                if has_settled && !slab.is_empty() {
                    settled.push(slab);
                } else {
                    wait |= !slab.holes_are_purged();
                    self.put_back(slab);
                }
            }
            while let Some(slab) = settled.pop() {
                self.purge_holes(slab, class);
                self.put_back(slab);
            }
        }
        wait
    }

    /// Abandons a slab that was abandoned before and is the caller's now, or retires it if it is empty.
    pub(super) fn put_back(&self, slab: &'static Slab) {
        if !self.pool.abandon_unless_empty(slab) {
            self.put_free(slab);
        }
    }

    /// Makes an empty slab, which the caller owns and has in no bin, a free one of the pool.
    pub(super) fn put_free(&self, slab: &'static Slab) {
        let slabs = self.class(slab.class_index()).slabs;
        slab.reset();
        self.pool.put_free(slab, slabs);
    }

    fn purge_free(&self, now: u32, delay: u32) {
        self.pool.gather(now);
        self.pool.purge(now, delay);
        self.extents.purge(self.id(), now, delay);
    }

    /// Returns all free memory to the system now, without waiting for the purge delay, including the slabs that `heap`
    /// has cached, which is the calling thread's.
    pub(crate) fn purge(&self, heap: Option<&Heap>) {
        self.trim(heap, Portion::All);
        if let Some(heap) = heap {
            heap.maintain(Holes::All);
            heap.release_cached();
        }
        self.empty_cache_of(heap);
        let now = clock::now_ms();
        self.purge_abandoned(now, 0);
        self.purge_free(now, 0);
    }

    /// Returns all free memory and address space to the system, which has refused so many bytes.
    #[cold]
    pub(crate) fn trim_all(&self, size: usize) {
        self.extents.note_refusal(size);
        self.purge(None);
        self.pool.unmap_empty();
    }

    /// Takes the locks for a fork, in the order in which the runtime nests them.
    pub(crate) fn hold_for_fork(&self) {
        self.keeper.hold_for_fork();
        self.idle.hold_for_fork();
        self.extents.hold_for_fork();
        self.pool.hold_for_fork();
    }

    /// Releases them, in the parent and in the child.
    pub(crate) fn release_after_fork(&self) {
        self.pool.release_after_fork();
        self.extents.release_after_fork();
        self.idle.release_after_fork();
        self.keeper.release_after_fork();
    }
}
