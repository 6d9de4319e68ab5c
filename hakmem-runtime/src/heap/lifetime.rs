//! How a thread's heap starts and ends.
//!
//! The generated thread cache has no destructor, as that would cost a test on each access. Instead, the first slow path
//! of a thread gives it a heap and arms a pthread key. The C library runs the key's destructor after Rust's
//! thread-local destructors (with glibc), so what they free still goes through the heap. `exit` does not run them, so
//! the main thread's heap is there for `atexit` handlers.
//!
//! Another key's destructor may allocate later. The C library repeats its round of destructors a few times only, so a
//! key that is armed then may never be called. Hence a thread whose heap has ended, or whose key cannot be armed, gets
//! a heap for the length of one slow path, which ends it: no block stays in the thread, and no slab in the heap.

use super::{Backing, Heap, OnCache, do_nothing};
use core::cell::Cell;
use core::ptr;

/// The thread's heap, in the generated thread cache. None until the thread's first slow path.
#[derive(Debug)]
pub struct HeapSlot {
    heap: Cell<Option<&'static Heap>>,
    ended: Cell<bool>,
}

impl HeapSlot {
    /// No heap yet.
    pub const EMPTY: HeapSlot = HeapSlot { heap: Cell::new(None), ended: Cell::new(false) };

    /// The heap, if the thread has one.
    #[inline]
    pub fn get(&self) -> Option<&Heap> {
        self.heap.get()
    }

    /// The address of the heap; 0 where there is none.
    #[inline(always)]
    pub fn addr(&self) -> usize {
        self.heap.get().map_or(0, |heap| ptr::from_ref(heap).addr())
    }

    /// Stores the thread's heap.
    pub fn set(&self, heap: Option<&'static Heap>) {
        self.heap.set(heap);
    }

    /// Empties the slot because the heap ends.
    pub fn end(&self) {
        self.heap.set(None);
        self.ended.set(true);
    }

    /// Whether the thread has had a heap that ended.
    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }
}

impl Heap {
    /// A heap for the calling thread: an idle one, or a new one. `None`: no memory. The caller stores it where the
    /// thread finds it, and then calls [`Heap::arm`]; in this order, because the C library may allocate to arm the key.
    ///
    /// # Safety
    /// `thread_cache` is what `at_exit` takes, and stays valid until the thread has ended. If it is `None`, `at_exit` takes
    /// the thread cache beside the heap, for which the backing has room.
    pub unsafe fn start(
        backing: &'static Backing,
        thread_cache: Option<*const ()>,
        at_exit: OnCache,
    ) -> Option<&'static Heap> {
        let heap = match backing.take_idle() {
            Some(idle) => idle,
            None => {
                let heap = Heap::create(backing)?;
                backing.presences.register(&heap.presence);
                heap
            }
        };
        let beside = || ptr::from_ref(heap).addr().wrapping_add(Heap::thread_cache_offset(backing.classes().len()));
        heap.thread_cache.set(thread_cache.unwrap_or_else(|| ptr::with_exposed_provenance(beside())));
        heap.at_exit.set(at_exit);
        Some(heap)
    }

    /// Has the C library call `exit` with this heap when the calling thread ends. `false`: it will not.
    #[must_use = "a heap that is not armed has to be ended"]
    pub fn arm(&'static self) -> bool {
        self.backing.key().set(self)
    }

    /// Ends the calling thread's heap now. It was not armed.
    #[cold]
    #[inline(never)]
    pub fn end(&'static self) {
        exit(self);
    }
}

/// What happens to a heap at the end of its thread: it gives up all that it has, and is idle.
pub(crate) extern "C" fn exit(heap: &'static Heap) {
    // (The thread forgets the heap, too.)
    heap.on_cache(heap.at_exit.get());
    let inside = heap.enter();
    heap.thread_cache.set(ptr::null());
    heap.at_exit.set(do_nothing);
    heap.presence.end();
    drop(inside);
    heap.backing.put_idle(heap);
}
