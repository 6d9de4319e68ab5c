//! A thread's heap: the slabs that it owns, and how blocks go from them to the layers and back. Imports `extent`,
//! `backend`, `slab`, `meta` and `sys`.
//!
//! ```text
//! backing       what the heaps of one allocator share: classes, pool, extents, idle heaps
//! bin           a heap's slabs of one class
//! presence      whether the heap's thread is in a slow path
//! keeper        who looks after the heaps of threads that sleep
//! throttle      short lists, so that threads take a slow path while memory waits for a purge
//! acquire       a slab to allocate from: one of the heap's own, an abandoned one, a free one
//! refill        blocks from slabs to the layers
//! remote_batch  blocks from the layers to slabs; those of other heaps' slabs gathered by slab
//! reclaim       abandoned slabs that a heap takes over; slabs that it abandons or retires
//! maintain      periodic work on slow paths
//! lifetime      the start and the end of a thread's heap
//! trim          blocks that the layers share between threads
//! ```

mod acquire;
mod backing;
mod bin;
mod keeper;
mod lifetime;
mod maintain;
mod presence;
mod reclaim;
mod refill;
mod remote_batch;
mod throttle;
mod trim;

pub use backing::{Backing, LayerHooks};
pub use keeper::KeeperSteps;
pub use lifetime::HeapSlot;
pub(crate) use lifetime::exit;
pub(crate) use remote_batch::{flush, flush_one};
pub use trim::{Portion, Trim};

use crate::extent::LocalCache;
use crate::meta::arena;
use crate::slab::SlabList;
use bin::Bin;
use core::cell::Cell;
use core::ptr;
use presence::Presence;
use throttle::Throttle;

/// A thread's slabs. Each thread has a heap for each allocator that it uses. Heaps are in the arena and are never
/// freed: an idle one, whose thread has ended, goes to the next thread that starts.
///
/// # Invariants
/// The heap owns the slabs in its bins, and those in `cached`, which are free. Only the heap's thread accesses the
/// heap, but for `extents`, which others may empty, and a keeper (`keeper.rs`), while the thread takes no slow path; an idle
/// heap belongs to the list of idle heaps.
#[repr(C)]
#[derive(Debug)]
pub struct Heap {
    backing: &'static Backing,
    /// The generated thread cache.
    thread_cache: Cell<*const ()>,
    /// Empties the thread cache and the heap, at the end of the thread.
    at_exit: Cell<OnCache>,
    /// Free slabs, kept for the next refill that needs one.
    cached: SlabList,
    throttle: Throttle,
    /// Whether [`Heap::trim`] is running.
    trimming: Cell<bool>,
    /// The next in the list of idle heaps.
    idle_next: Cell<Option<&'static Heap>>,
    /// Large blocks that the thread has freed.
    extents: LocalCache,
    presence: Presence,
    // Followed in memory by a `Bin` for each class, and under `tls = "initial-exec"` by the thread cache.
}

/// A function from generated code that does something with the thread cache at an address, whose type a heap does not know.
pub type OnCache = unsafe fn(*const ());

/// The `at_exit` of a heap without a thread.
unsafe fn do_nothing(_: *const ()) {}

impl Heap {
    /// The distance from a heap to the thread cache after its bins, in an allocator of `classes` classes.
    pub const fn thread_cache_offset(classes: usize) -> usize {
        (size_of::<Heap>() + classes * size_of::<Bin>()).next_multiple_of(128)
    }

    /// A new heap from the arena. `None`: no memory.
    fn create(backing: &'static Backing) -> Option<&'static Heap> {
        let bytes = Heap::thread_cache_offset(backing.classes().len()) + backing.thread_cache_bytes();
        let heap = ptr::with_exposed_provenance_mut::<Heap>(arena::allocate(bytes));
        if heap.is_null() {
            return None;
        }
        let new = Heap {
            backing,
            thread_cache: Cell::new(ptr::null()),
            at_exit: Cell::new(do_nothing),
            cached: SlabList::EMPTY,
            throttle: Throttle::new(),
            trimming: Cell::new(false),
            idle_next: Cell::new(None),
            extents: LocalCache::new(),
            presence: Presence::new(),
        };
        // SAFETY: `arena::allocate` returned `bytes` zeroed bytes, aligned to 128, which are the caller's alone and are
        // never freed. So the heap may be written, and read for ever. The bins after it are zero, and a zeroed `Bin`
        // is an empty one.
        let heap = unsafe {
            heap.write(new);
            &*heap
        };
        backing.extents().register(&heap.extents);
        Some(heap)
    }

    /// A heap for a worker's thread, which has no thread cache and never gives the heap up. `None`: no memory.
    pub(crate) fn for_worker(backing: &'static Backing) -> Option<&'static Heap> {
        Heap::create(backing)
    }

    /// The owner id of this heap's slabs of a class: the heap's address, with bit 0 set if blocks of the class cannot
    /// be freed by their address alone. A free by address compares the owner with the heap's address, so it fails for
    /// such a class without a further test.
    pub(crate) fn owner_id(&self, class_index: u32) -> usize {
        ptr::from_ref(self).addr() | usize::from(self.backing.class(class_index).needs_class)
    }

    /// Calls a function with the thread cache: the heap's thread at its end, or a keeper that has shut it out.
    fn on_cache(&self, function: OnCache) {
        // SAFETY: the heap has a thread, whose cache this is, and valid (`Heap::start`). The functions are those of that call
        // and of `KeeperSteps`: they take the caches of this allocator. Its thread does no more with it meanwhile than a hit.
        unsafe { function(self.thread_cache.get()) };
    }

    fn bins(&self) -> &[Bin] {
        // By the address, as a reference to the heap does not cover what follows it.
        let bins = ptr::with_exposed_provenance::<Bin>(ptr::from_ref(self).addr().wrapping_add(size_of::<Heap>()));
        // SAFETY: `create` allocated zeroed memory for a bin per class right after the heap, whose size is a multiple
        // of a bin's alignment. A zeroed `Bin` is an empty one. This memory is never freed, and is accessed through
        // shared references to `Bin` alone, whose fields are cells.
        unsafe { core::slice::from_raw_parts(bins, self.backing.classes().len()) }
    }

    fn bin(&self, class_index: u32) -> &Bin {
        debug_assert!((class_index as usize) < self.bins().len());
        // SAFETY: there is a bin for each class, and `class_index` is that of a class: it comes from a slab that has a
        // class, or from `Slabs::new`, whose caller promises it.
        unsafe { self.bins().get_unchecked(class_index as usize) }
    }
}
