//! The heap: one per thread and allocator, in the page arena, recycled and never freed.

use super::bin::Bin;
use crate::backend::TICKS;
use crate::global::Allocator;
use crate::heap::Portion;
use crate::meta::arena;
use crate::slab::{Slab, SlabList};
use crate::sys::{clock, mmap};
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::Ordering;

/// Free slabs that a heap keeps warm for itself, and takes beyond need when it must ask under the pool's lock. Two is
/// the original's prefill budget; a heap that fills one slab after the other then meets the lock at every third.
const WARM: u32 = 2;

/// From this many slabs of a class on, a heap takes each new one to be filled soon, and has the kernel map all of its pages
/// at once: 1.65 µs a page instead of 2.4, and a burst of 400 MiB in 0.85 of the time (docs/LEDGER.md). At most an eighth of
/// what the class has may be resident without use by that.
const GROWING: u32 = 8;

/// Partial slabs of one class that a heap keeps of those it came by through freeing into them. One that it allocated
/// from before it keeps in any number. (With 16 or 32 where it allocates from the class, `cache` takes 0.89 or 0.85 of the
/// instructions, no less time, and `messages` 22 or 28 MiB instead of 18: docs/LEDGER.md.)
const ADOPTED: u32 = 4;

/// How many of its slabs a heap looks at for one that is not full any more. What is still full it lets go of.
const LOOKS: u32 = 8;

/// A thread's state in the runtime. The layers before it are in the application's thread-local storage.
///
/// # Invariants
/// Slabs in `bins` and `warm` have this heap as their owner (warm ones have no class). Only the heap's thread touches
/// any of this; between two threads' lives the pool of heaps has it.
#[repr(C)]
#[derive(Debug)]
pub struct Heap {
    allocator: &'static Allocator,
    /// The generated thread-local state, and the generated function that empties its layers into the heap.
    pub(super) front: Cell<*const ()>,
    pub(super) drain: Cell<unsafe fn(*const ())>,
    warm: SlabList,
    /// When `maintain` last ran.
    ticked: Cell<u32>,
    /// Whether lists were shortened since then.
    shortened: Cell<bool>,
    /// When they were shortened last, until they are not any more.
    watching: Cell<Option<u32>>,
    /// Whether [`Heap::reclaim`] is under way.
    pub(super) reclaiming: Cell<bool>,
    /// The next in the list of heaps without a thread.
    pub(crate) idle_next: Cell<*mut Heap>,
    // Followed in memory by one `Bin` per class, and by the front where that stands beside its heap.
}

/// What `drain` is while there is nothing to drain.
pub(super) unsafe fn nothing(_: *const ()) {}

impl Heap {
    /// Where the front beside a heap is, from the heap's start, in an allocator of so many classes.
    pub const fn front_offset(classes: usize) -> usize {
        (size_of::<Heap>() + classes * size_of::<Bin>()).next_multiple_of(128)
    }

    /// A new heap from the arena; null where there is no memory.
    pub(super) fn create(allocator: &'static Allocator) -> *mut Heap {
        let bytes = Heap::front_offset(allocator.classes().len()) + allocator.front();
        let heap = ptr::with_exposed_provenance_mut::<Heap>(arena::allocate(bytes));
        if !heap.is_null() {
            // SAFETY: fresh zeroed memory of the right size and alignment; zero is right for `warm`, `ticked`,
            // `shortened`, `watching`, `reclaiming`, `idle_next` and the bins.
            unsafe {
                (&raw mut (*heap).allocator).write(allocator);
                (&raw mut (*heap).front).write(Cell::new(ptr::null()));
                (&raw mut (*heap).drain).write(Cell::new(nothing));
            }
        }
        heap
    }

    /// A heap for a thread of the allocator's own, which has no front and never ends. Null where there is no memory.
    pub(crate) fn for_worker(allocator: &'static Allocator) -> *mut Heap {
        allocator.initialise();
        Heap::create(allocator)
    }

    pub(crate) fn allocator(&self) -> &'static Allocator {
        self.allocator
    }

    /// What slabs of `class` call this heap if it is their owner: its address, made odd where a free takes more than the
    /// address of the block to be a hit. So such a free finds out by one comparison.
    pub(crate) fn owner_tag(&self, class: u32) -> usize {
        ptr::from_ref(self).addr() | usize::from(self.allocator.class(class).apart)
    }

    pub(crate) fn bin(&self, class: u32) -> &Bin {
        let bins = ptr::from_ref(self).wrapping_add(1).cast::<Bin>();
        // SAFETY: `create` made room for a bin per class, and generated code passes classes of its own allocator.
        unsafe { &*bins.wrapping_add(class as usize) }
    }

    /// Takes a slab of `class` to allocate from, by the cheapest stage that has one. Null: no memory.
    pub(super) fn acquire(&self, class: u32) -> *mut Slab {
        let slab = self.acquire_used(class);
        if !slab.is_null() {
            return slab;
        }
        let pool = self.allocator.pool();
        let shape = self.allocator.class(class);
        // SAFETY: a slab from the pool is ours, and on no list.
        let take = || pool.take_free(shape.slabs, WARM, self.allocator.id(), |more| unsafe { self.warm.push(more) });
        let mut slab = take();
        // SAFETY: null, or ours.
        if unsafe { slab.as_ref() }.is_none_or(|slab| slab.fresh.get())
            && self.allocator.reclaim(Some(self), Portion::All)
        {
            // What threads keep for each other makes way: memory used before is had now, or more likely.
            if !slab.is_null() {
                // SAFETY: ours, and never begun.
                unsafe { pool.put_aside(slab, shape.slabs) };
            }
            slab = self.acquire_used(class);
            if !slab.is_null() {
                return slab;
            }
            slab = take();
        }
        if slab.is_null() {
            // Before giving up, give back what is only kept.
            self.allocator.purge(None);
            slab = take();
        }
        self.begin_slab(slab, class)
    }

    /// The same, of slabs that this heap has, or that were left with free blocks of the class. Null: none.
    fn acquire_used(&self, class: u32) -> *mut Slab {
        let pool = self.allocator.pool();
        let bin = self.bin(class);
        for _ in 0..LOOKS {
            // SAFETY: the bin is ours, and so is what comes from it.
            unsafe {
                let own = bin.pop_oldest();
                if own.is_null() {
                    break;
                }
                if (*own).has_blocks() || !pool.abandon(own) {
                    return own;
                }
            }
        }
        loop {
            let left = pool.take_partial(class);
            if left.is_null() {
                break;
            }
            // SAFETY: the pool handed it over.
            unsafe {
                if (*left).class() == class && (*left).has_blocks() {
                    (*left).home.store(self.owner_tag(class), Ordering::Relaxed);
                    (*left).owner.store(self.owner_tag(class), Ordering::Relaxed);
                    return left;
                }
                self.leave(left);
            }
        }
        // SAFETY: the warm list is ours.
        let warm = if self.allocator.class(class).slabs == 1 { unsafe { self.warm.pop() } } else { ptr::null_mut() };
        self.begin_slab(warm, class)
    }

    /// Makes a free span, which is ours alone, a slab of `class`; or null, which it remains.
    fn begin_slab(&self, slab: *mut Slab, class: u32) -> *mut Slab {
        if !slab.is_null() {
            let (geometry, shape, bin) =
                (self.allocator.pool().geometry(), self.allocator.class(class), self.bin(class));
            // SAFETY: ours.
            unsafe {
                (*slab).begin(class, shape, self.owner_tag(class), geometry);
                bin.begun.set(bin.begun.get().wrapping_add(1));
                if bin.begun.get() > GROWING && shape.slabs == 1 && (*slab).fresh.get() {
                    mmap::populate(geometry.base(slab), geometry.slab_size());
                }
            }
        }
        slab
    }

    /// Takes in a slab of ours, not in any bin, that has free blocks: keeps it, publishes it, or ends it.
    ///
    /// # Safety
    /// The calling thread owns the slab.
    pub(crate) unsafe fn file(&self, slab: *mut Slab) {
        // SAFETY: ours.
        unsafe {
            if (*slab).is_empty() {
                self.retire(slab);
                return;
            }
            let class = (*slab).class();
            if self.should_adopt(slab, class) {
                self.bin(class).partial.push(slab);
            } else {
                self.leave(slab);
            }
        }
    }

    /// Whether a slab of `class` that this heap came by through a free is to be kept.
    #[inline]
    pub(super) unsafe fn should_adopt(&self, slab: *mut Slab, class: u32) -> bool {
        // SAFETY: metadata is never unmapped. If the slab is not ours the answer may be out of date, no more.
        unsafe {
            (*slab).home.load(Ordering::Relaxed) == self.owner_tag(class) || self.bin(class).partial.count() < ADOPTED
        }
    }

    /// Leaves a slab to other threads: the empty to the pool, the others adrift.
    ///
    /// # Safety
    /// The calling thread owns the slab, which is in no bin.
    unsafe fn leave(&self, slab: *mut Slab) {
        // SAFETY: ours, and still so if the pool says that it is empty.
        unsafe {
            if !self.allocator.pool().leave(slab) {
                self.retire(slab);
            }
        }
    }

    /// Ends a slab in which no block is allocated: it stays warm here or goes to the pool.
    ///
    /// # Safety
    /// The calling thread owns the slab, which is in no bin.
    pub(super) unsafe fn retire(&self, slab: *mut Slab) {
        // SAFETY: ours.
        unsafe {
            let bin = self.bin((*slab).class());
            bin.begun.set(bin.begun.get().saturating_sub(1));
            let units = self.allocator.class((*slab).class()).slabs;
            (*slab).end();
            if units == 1 && self.warm.count() < WARM {
                self.warm.push(slab);
            } else {
                self.allocator.pool().put_free(slab, units);
                self.watch();
            }
        }
    }

    /// Memory waits for its purge: sees to it that allocations come by a slow path, though all might be hits of `pages`
    /// from now on.
    pub(crate) fn watch(&self) {
        if self.shortened.get() || self.allocator.pool().purge_delay().is_none() {
            return;
        }
        self.shortened.set(true);
        self.watching.set(Some(self.ticked.get()));
        self.each_bin(Bin::shorten);
    }

    /// Whether memory went from here to the pool, and may still wait there for its purge.
    pub(crate) fn gave_back(&self) -> bool {
        self.watching.get().is_some()
    }

    /// Calls `act` for the bin of each class.
    fn each_bin(&self, act: impl Fn(&Bin)) {
        for class in 0..self.allocator.classes().len() as u32 {
            act(self.bin(class));
        }
    }

    /// What happens now and then on a slow path: a few times in the purge delay, the heap looks through its slabs, and the
    /// pool gives memory back.
    #[inline]
    pub(crate) fn tick(&self) {
        let Some(delay) = self.allocator.pool().purge_delay() else { return };
        let now = clock::now_ms();
        if now.wrapping_sub(self.ticked.get()) > delay / TICKS {
            self.ticked.set(now);
            self.shortened.set(false);
            // What was free when lists were shortened has gone back by now.
            if self.watching.get().is_some_and(|since| now.wrapping_sub(since) > delay.saturating_mul(2)) {
                self.watching.set(None);
                self.each_bin(Bin::lengthen);
            }
            self.maintain();
            self.allocator.purge_if_due(Some(self), now);
        }
    }

    /// Collects what other threads freed into this heap's slabs, ends those that are empty, and lets go of those that are full.
    #[cold]
    pub(crate) fn maintain(&self) {
        for class in 0..self.allocator.classes().len() as u32 {
            let bin = self.bin(class);
            // SAFETY: the bin and its slabs are ours; `next` is read before the slab may leave the list.
            unsafe {
                let mut slab = bin.partial.first();
                while !slab.is_null() {
                    let next = (*slab).next.get();
                    (*slab).collect();
                    // One that is still full was not in use for a while, and need not be looked after.
                    if (*slab).is_empty() || !(*slab).has_blocks() {
                        bin.partial.remove(slab);
                        self.leave(slab);
                    }
                    slab = next;
                }
                let current = bin.current();
                if !current.is_null() {
                    (*current).collect();
                    if (*current).is_empty() {
                        self.retire(bin.take_current());
                    }
                }
            }
        }
    }

    /// Gives every slab away, after the layers were drained.
    pub(super) fn abandon(&self) {
        for class in 0..self.allocator.classes().len() as u32 {
            let bin = self.bin(class);
            loop {
                // SAFETY: the bin and its slabs are ours until we hand them on.
                unsafe {
                    let mut slab = bin.take_current();
                    if slab.is_null() {
                        slab = bin.partial.pop();
                    }
                    if slab.is_null() {
                        break;
                    }
                    self.leave(slab);
                }
            }
        }
        self.release_warm();
    }

    /// Gives the warm slabs to the pool.
    pub(crate) fn release_warm(&self) {
        loop {
            // SAFETY: the warm list is ours, and so is what comes from it.
            unsafe {
                let slab = self.warm.pop();
                if slab.is_null() {
                    return;
                }
                self.allocator.pool().put_free(slab, 1);
            }
        }
    }
}
