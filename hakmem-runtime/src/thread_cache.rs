//! The thread cache: a thread's states of the layers of all classes, and how the thread finds it.
//!
//! Its type is generated: for each group an array of states of the first layer and one of those below. It has no
//! destructor and begins as a constant, so an access is a plain one, without a test for initialization. The spec
//! chooses where it is: in thread-local storage (`tls = "native"`), or right after the thread's heap, to which a word
//! in static thread-local storage points (`tls = "initial-exec"`). `src/tls.rs` of the `hakmem` crate implements both.

use crate::heap::{Backing, HeapSlot};

/// A generated thread cache.
///
/// # Safety
/// `with` and `with_started` pass the calling thread's own cache. If its [`HeapSlot`] holds a heap, that is the calling
/// thread's.
pub unsafe trait ThreadCache: Sized + 'static {
    /// Whether the cache is beside the heap, right after it. Then threads that have not started have no cache of their
    /// own: `with` passes one that all of them share, and that must not be written to.
    const BESIDE_HEAP: bool;

    /// The unit of class offsets, in bytes: 1 if all offsets fit in 16 bits then, else 8, which takes one more
    /// instruction where the size is not known at compile time.
    const UNIT: usize = if size_of::<Self>() < u16::MAX as usize { 1 } else { 8 };

    /// What the heaps of this allocator share.
    fn backing() -> &'static Backing;

    /// Calls `with` with the calling thread's cache, which may not have started.
    fn with<R>(with: impl FnOnce(&Self) -> R) -> R;

    /// Whether the calling thread has a cache of its own, which may be written to. Always `true` unless
    /// [`BESIDE_HEAP`](Self::BESIDE_HEAP).
    fn has_started() -> bool;

    /// Starts the thread's heap if it has none, and calls `with`. `None`: the thread has no cache of its own, either
    /// because there is no memory, or because `to_free` is set and the thread's heap has ended: a free does not start
    /// another.
    fn with_started<R>(to_free: bool, with: impl FnOnce(&Self) -> R) -> Option<R>;

    /// The slot for the thread's heap, which is empty until the first slow path.
    fn heap(&self) -> &HeapSlot;

    /// The owner id of the thread's slabs, with bit 0 clear: the address of its heap, or of the `EmptyThread` of a
    /// thread without a heap; 0 for such a thread under `tls = "native"`.
    fn owner(&self) -> usize;

    /// Empties the slot, at the end of the thread.
    fn forget_heap(&self);

    /// Called at the end of a slow path, when no layer is in the middle of a change. Wakes the purger, if there is one
    /// and memory waits for a purge.
    fn after_slow_path(&self) {}

    /// Called after a refill from a queue. Wakes the worker that fills it.
    fn wake_filler(&self) {}
}

/// Where a group's states of the first layer are in the thread cache: the offset of the first in bytes, the distance
/// from one to the next in bytes, and their number.
pub type States = (usize, usize, usize);

/// The class offset of each class: the distance from the start of the thread cache to the class's state of the first
/// layer, in units of [`ThreadCache::UNIT`] bytes. `groups` are in the order of their classes.
pub const fn class_offsets<C: ThreadCache, const CLASSES: usize>(groups: &[States]) -> [u16; CLASSES] {
    assert!(
        size_of::<C>() < u16::MAX as usize * C::UNIT,
        "the layers of this spec keep more than 512 KiB in each thread: lower the capacities of those with arrays"
    );
    let mut offsets = [0; CLASSES];
    let (mut class, mut group) = (0, 0);
    while group < groups.len() {
        let (start, stride, count) = groups[group];
        let mut index = 0;
        while index < count {
            offsets[class] = ((start + index * stride) / C::UNIT) as u16;
            class += 1;
            index += 1;
        }
        group += 1;
    }
    assert!(class == CLASSES, "each class is in one group");
    offsets
}
