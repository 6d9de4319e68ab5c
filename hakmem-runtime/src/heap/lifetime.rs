//! How a thread's heap begins and ends.
//!
//! The generated thread-local state has no destructor (that would cost a test on each access). Instead the first slow
//! path arms a pthread key whose destructor runs after all of Rust's thread-local destructors; what these free still
//! goes through the live heap. If another key's destructor allocates after ours ran, the slow path starts a heap again
//! and arms the key again; the C library repeats its round of destructors up to four times. The main thread is never
//! torn down, so `atexit` handlers find everything in place.

use super::acquire::{Heap, nothing};
use crate::global::Allocator;
use core::cell::Cell;
use core::ptr;

/// The pointer to a thread's heap, in the generated thread-local state. Null until the first slow path.
#[repr(transparent)]
#[derive(Debug)]
pub struct HeapSlot(Cell<*const Heap>);

impl HeapSlot {
    /// No heap yet.
    pub const fn empty() -> HeapSlot {
        HeapSlot(Cell::new(ptr::null()))
    }

    /// The heap, if the thread has one.
    #[inline]
    pub fn get(&self) -> Option<&Heap> {
        // SAFETY: what is in the slot is this thread's live heap.
        unsafe { self.0.get().as_ref() }
    }

    /// Remembers the heap that this slot's thread has from now on.
    pub fn set(&self, heap: &Heap) {
        self.0.set(heap);
    }

    /// Forgets the heap, at the end of its thread.
    pub fn clear(&self) {
        self.0.set(ptr::null());
    }

    /// The thread's heap, started if need be. `None`: there is no memory for one.
    ///
    /// # Safety
    /// `front` is what `drain` takes, and is the thread-local state that this slot is part of.
    #[inline]
    pub unsafe fn get_or_start(
        &self,
        allocator: &'static Allocator,
        front: *const (),
        drain: unsafe fn(*const ()),
    ) -> Option<&Heap> {
        if self.0.get().is_null() {
            self.0.set(start(allocator, front, drain));
        }
        self.get()
    }
}

#[cold]
#[inline(never)]
fn start(allocator: &'static Allocator, front: *const (), drain: unsafe fn(*const ())) -> *const Heap {
    allocator.initialise();
    let heap = take(allocator);
    // SAFETY: null, or ours alone now.
    if let Some(heap) = unsafe { heap.as_ref() } {
        heap.front.set(front);
        heap.drain.set(drain);
        heap.arm();
    }
    heap
}

/// A heap without a thread, or a new one; null where there is no memory.
fn take(allocator: &'static Allocator) -> *mut Heap {
    let idle = allocator.take_idle_heap();
    if idle.is_null() { Heap::create(allocator) } else { idle }
}

impl Heap {
    /// A heap for a thread whose front stands beside it. `None`: there is no memory. The thread has to be told of it before
    /// [`Heap::arm`] is called, for which the C library may allocate.
    ///
    /// # Safety
    /// `drain` takes the front beside a heap of `allocator`, which was initialised.
    pub unsafe fn begin(allocator: &'static Allocator, drain: unsafe fn(*const ())) -> Option<&'static Heap> {
        // SAFETY: null, or ours alone now; heaps are never freed.
        let heap = unsafe { take(allocator).as_ref() }?;
        let front = ptr::from_ref(heap).wrapping_byte_add(Heap::front_offset(allocator.classes().len()));
        heap.front.set(front.cast());
        heap.drain.set(drain);
        Some(heap)
    }

    /// Makes the end of the calling thread the end of this heap, too.
    pub fn arm(&self) {
        self.allocator().arm_exit(ptr::from_ref(self).cast_mut());
    }
}

/// The destructor of the pthread key: empties the layers, gives the slabs away, lets the heap wait for another thread.
pub(crate) unsafe extern "C" fn exit(heap: *mut libc::c_void) {
    let heap = heap.cast::<Heap>();
    // SAFETY: the key holds this thread's heap; its thread-local state is valid until the thread is gone.
    unsafe {
        // `drain` also clears the slot.
        ((*heap).drain.get())((*heap).front.get());
        (*heap).abandon();
        (*heap).front.set(ptr::null());
        (*heap).drain.set(nothing);
        (*heap).allocator().put_idle_heap(heap);
    }
}
