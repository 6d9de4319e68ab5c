//! The one static that a generated allocator owns.

use crate::backend::{Pool, PoolConfig};
use crate::extent::Extents;
use crate::heap::{Backing, Heap, LayerHooks, exit};
use crate::meta::arena;
use crate::meta::tagged_stack::NodeStack;
use crate::slab::class::Class;
use crate::slab::{FreeBlock, Geometry};
use crate::sys::clock;
use crate::sys::fork::{self, ForkHook, ForkLink};
use crate::sys::membarrier;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

/// The spec's values that are not a class's.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Bytes of a SuperSlab, a power of two.
    pub superslab: u32,
    /// Bytes of a slab, a power of two.
    pub slab: u32,
    /// Whether SuperSlabs and the segments of large blocks ask for transparent huge pages.
    pub huge_pages: bool,
    /// Milliseconds that free memory is kept before it goes back to the system; `None` is for ever.
    pub purge_delay_ms: Option<u32>,
    /// Whether a thread gives it back from the first free on.
    pub background: bool,
    /// Bytes of freed large blocks kept for reuse.
    pub large_cache: usize,
}

/// An allocator: what its heaps share, and what makes it known to the process. Generated code has one in a static and
/// never drops it.
#[derive(Debug)]
pub struct Allocator {
    backing: Backing,
    ready: AtomicU32,
    fork_link: ForkLink,
}

// SAFETY: every part is an atomic, behind a lock, or constant.
unsafe impl Sync for Allocator {}

impl Allocator {
    /// An allocator that has done nothing yet. `abandoned` has one stack per class.
    pub const fn new(
        config: Config,
        classes: &'static [Class],
        abandoned: &'static [NodeStack],
        hooks: LayerHooks,
    ) -> Allocator {
        assert!(classes.len() == abandoned.len(), "one stack of abandoned slabs per class");
        let pool_config = PoolConfig {
            geometry: Geometry::new(config.superslab, config.slab),
            huge_pages: config.huge_pages,
            purge_delay: config.purge_delay_ms,
        };
        let pool = Pool::new(pool_config, abandoned);
        // Where memory goes back at once, none is kept.
        let kept = if matches!(config.purge_delay_ms, Some(0)) { 0 } else { config.large_cache };
        let attended = config.background || config.purge_delay_ms.is_none();
        let extents = Extents::new(kept, config.huge_pages, attended);
        Allocator {
            backing: Backing::new(classes, pool, extents, hooks),
            ready: AtomicU32::new(0),
            fork_link: ForkLink::new(),
        }
    }

    /// What the heaps share.
    pub fn backing(&self) -> &Backing {
        &self.backing
    }

    /// The classes, by class index.
    pub fn classes(&self) -> &'static [Class] {
        self.backing.classes()
    }

    /// Whether `address` lies in memory of this allocator: constant time, no system call, no touch of the memory.
    pub fn owns(&self, address: usize) -> bool {
        self.backing.owns(address)
    }

    /// Gives back all memory that is free now, without waiting for the delay. `heap` is the calling thread's.
    pub fn purge(&self, heap: Option<&Heap>) {
        // Before the first use there is none, and a fork does not know of the locks yet: its child may find them held.
        if self.ready.load(Ordering::Acquire) != 0 {
            self.backing.purge(heap);
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
        let mut hooks = fork::hooks();
        if self.ready.load(Ordering::Relaxed) == 0 {
            self.backing.key().create(exit);
            // The arena's hook is number 0, so allocators count from 1. More than 255 allocators in one program share
            // the last number; only `owns` can tell.
            arena::register(&mut hooks);
            self.backing.set_id(hooks.register(self));
            self.ready.store(1, Ordering::Release);
        }
        drop(hooks);
        fork::install();
        membarrier::register();
    }
}

/// Large blocks: requests that no class serves. `heap` is the calling thread's.
impl Allocator {
    /// Allocates. Null: no memory.
    #[cold]
    #[inline(never)]
    pub fn alloc_large(&'static self, heap: Option<&Heap>, size: usize, align: usize) -> *mut u8 {
        self.initialise();
        let block = self.backing.extents().alloc(self.backing.caller(heap), size, align);
        if !block.is_null() {
            return block;
        }
        self.retry(size, align, move || self.backing.extents().alloc(self.backing.caller(heap), size, align))
    }

    /// Allocates zeroed memory. Null: no memory.
    #[cold]
    #[inline(never)]
    pub fn alloc_zeroed_large(&'static self, heap: Option<&Heap>, size: usize, align: usize) -> *mut u8 {
        self.initialise();
        let attempt = || self.backing.extents().alloc_zeroed(self.backing.caller(heap), size, align);
        let block = attempt();
        if block.is_null() { self.retry(size, align, attempt) } else { block }
    }

    /// Frees a large block. What is none stops the program.
    #[cold]
    #[inline(never)]
    pub(crate) fn dealloc_large(&'static self, heap: Option<&Heap>, block: FreeBlock) {
        let is_time = self.backing.extents().dealloc(self.backing.caller(heap), block);
        self.freed(heap, is_time);
    }

    /// What follows a free: the heap looks at the clock from now on, or at once if it is time.
    #[inline(always)]
    fn freed(&self, heap: Option<&Heap>, is_time: bool) {
        if let Some(heap) = heap {
            heap.note_large_freed();
        }
        if is_time {
            let _inside = heap.map(Heap::enter);
            self.backing.purge_if_due(heap, clock::now_ms());
        }
    }

    /// Resizes a block, which has this alignment. Null: no memory, and the block is the caller's as it was before. What is
    /// no large block stops the program.
    #[cold]
    #[inline(never)]
    pub(crate) fn realloc_large(
        &'static self,
        heap: Option<&Heap>,
        block: FreeBlock,
        new_size: usize,
        align: usize,
    ) -> *mut u8 {
        let (address, mut block) = (block.addr(), Some(block));
        let mut attempt = || {
            let Some(this) = block.take() else { return ptr::null_mut() };
            self.backing.extents().realloc(self.backing.caller(heap), this, new_size, align).unwrap_or_else(|this| {
                block = Some(this);
                ptr::null_mut()
            })
        };
        let mut new = attempt();
        if new.is_null() {
            new = self.retry(new_size, align, attempt);
        }
        self.freed(heap, new.addr() != address);
        new
    }

    /// What `attempt` returns after all memory that is only cached was given back. For an amount that no system has,
    /// nothing is given back.
    #[cold]
    #[inline(never)]
    fn retry(&self, size: usize, align: usize, attempt: impl FnOnce() -> *mut u8) -> *mut u8 {
        if Extents::is_hopeless(size, align) {
            return ptr::null_mut();
        }
        self.backing.trim_all(size);
        attempt()
    }
}

impl ForkHook for Allocator {
    fn hold(&self) {
        self.backing.hold_for_fork();
    }

    fn release(&self) {
        self.backing.release_after_fork();
    }

    fn link(&self) -> &ForkLink {
        &self.fork_link
    }
}
