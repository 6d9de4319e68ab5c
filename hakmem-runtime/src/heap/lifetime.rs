//! How a thread's heap starts and ends.
//!
//! The generated thread cache has no destructor, as that would cost a test on each access. Instead, the first slow path
//! of a thread gives it a heap and arms a pthread key. The C library runs the key's destructor after Rust's
//! thread-local destructors (with glibc), so what they free still goes through the heap. If another key's destructor
//! allocates later, the slow path starts a heap again and arms the key again; the C library repeats its round of
//! destructors up to four times. `exit` does not run them, so the main thread's heap is there for `atexit` handlers.

use super::{Backing, Drain, Heap, drain_nothing};
use core::cell::Cell;
use core::ptr;

/// The thread's heap, in the generated thread cache. None until the thread's first slow path.
#[repr(transparent)]
#[derive(Debug)]
pub struct HeapSlot(Cell<Option<&'static Heap>>);

impl HeapSlot {
    /// No heap yet.
    pub const EMPTY: HeapSlot = HeapSlot(Cell::new(None));

    /// The heap, if the thread has one.
    #[inline]
    pub fn get(&self) -> Option<&Heap> {
        self.0.get()
    }

    /// The address of the heap; 0 where there is none.
    #[inline(always)]
    pub fn addr(&self) -> usize {
        self.0.get().map_or(0, |heap| ptr::from_ref(heap).addr())
    }

    /// Stores the thread's heap.
    pub fn set(&self, heap: Option<&'static Heap>) {
        self.0.set(heap);
    }
}

impl Heap {
    /// A heap for the calling thread: an idle one, or a new one. `None`: no memory. The caller stores it where the
    /// thread finds it, and then calls [`Heap::arm`]; in this order, because the C library may allocate to arm the key.
    ///
    /// # Safety
    /// `thread_cache` is what `drain` takes, and stays valid until the thread has ended. If it is `None`, `drain` takes
    /// the thread cache beside the heap, for which the backing has room.
    pub unsafe fn start(
        backing: &'static Backing,
        thread_cache: Option<*const ()>,
        drain: Drain,
    ) -> Option<&'static Heap> {
        let heap = match backing.take_idle() {
            Some(idle) => idle,
            None => Heap::create(backing)?,
        };
        let beside = || ptr::from_ref(heap).addr().wrapping_add(Heap::thread_cache_offset(backing.classes().len()));
        heap.thread_cache.set(thread_cache.unwrap_or_else(|| ptr::with_exposed_provenance(beside())));
        heap.drain.set(drain);
        Some(heap)
    }

    /// Has the C library call `exit` with this heap when the calling thread ends.
    pub fn arm(&'static self) {
        // (If this fails, the heap is not given up when the thread ends: its slabs are lost.)
        self.backing.key().set(self);
    }
}

/// What happens to a heap at the end of its thread: drains the layers, gives all slabs up, and makes the heap idle.
pub(crate) extern "C" fn exit(heap: &'static Heap) {
    // SAFETY: by the contract of `Heap::start`, `drain` takes the heap's thread cache, which is this thread's and still
    // valid. (`drain` also makes the thread forget the heap.)
    unsafe { (heap.drain.get())(heap.thread_cache.get()) };
    heap.abandon_all();
    heap.backing.empty_cache_of(Some(heap));
    heap.thread_cache.set(ptr::null());
    heap.drain.set(drain_nothing);
    heap.backing.put_idle(heap);
}
