//! The allocators under test as the workloads see them: blocks that are written when they are allocated and checked
//! when they are freed.

use std::alloc::{GlobalAlloc, Layout, handle_alloc_error};
use std::hint::black_box;
use std::marker::PhantomData;
use std::ptr::NonNull;

use hakmem_harness::tag;

use crate::probe::Probe;

/// What nearly all workloads allocate. It is a constant, so the allocator's path for constant sizes is inlined.
const BLOCK: Layout = layout(64);

/// The least and the greatest size in any workload.
pub(crate) const SIZES: (u16, u16) = (16, 1024);

/// A generated allocator. Its methods are called directly: it is not this program's global allocator.
pub(crate) trait Subject: GlobalAlloc + Copy + Default + Send + Sync + 'static {
    /// Whether the allocator says that `pointer` is its own.
    fn owns(pointer: *const u8) -> bool;
    /// Gives free memory back to the system.
    fn purge();
    /// What its layers have counted, all classes taken together; the first layer comes first.
    fn counts() -> Vec<LayerCounts>;
}

/// What one layer of a stack has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LayerCounts {
    /// The layer's name.
    pub(crate) layer: &'static str,
    /// Allocations that it served.
    pub(crate) hits: u64,
    /// Allocations for which it had no block.
    pub(crate) misses: u64,
    /// Batches that it took from below.
    pub(crate) refills: u64,
    /// Batches that it sent below.
    pub(crate) flushes: u64,
}

impl LayerCounts {
    /// What was counted since `earlier`.
    pub(crate) fn since(&self, earlier: &LayerCounts) -> LayerCounts {
        LayerCounts {
            layer: self.layer,
            hits: self.hits - earlier.hits,
            misses: self.misses - earlier.misses,
            refills: self.refills - earlier.refills,
            flushes: self.flushes - earlier.flushes,
        }
    }
}

/// The sums over all classes, by layer.
pub(crate) fn by_layer(rows: impl Iterator<Item = hakmem::LayerStats>) -> Vec<LayerCounts> {
    let mut sums: Vec<LayerCounts> = Vec::new();
    for row in rows {
        let index = sums.iter().position(|sum| sum.layer == row.layer).unwrap_or_else(|| {
            sums.push(LayerCounts { layer: row.layer, ..LayerCounts::default() });
            sums.len() - 1
        });
        let sum = &mut sums[index];
        sum.hits += row.hits;
        sum.misses += row.misses;
        sum.refills += row.refills;
        sum.flushes += row.flushes;
    }
    sums
}

/// A layout of `size` bytes, aligned to a word as most things are.
const fn layout(size: usize) -> Layout {
    match Layout::from_size_align(size, align_of::<u64>()) {
        Ok(layout) => layout,
        Err(_) => panic!("sizes are small"),
    }
}

/// A block of 64 bytes that `A` has handed out.
#[derive(Debug)]
pub(crate) struct Block<A> {
    address: NonNull<u64>,
    heap: PhantomData<A>,
}

// SAFETY: a block is memory that only its holder uses, and `A`, a `GlobalAlloc`, may free it in any thread.
unsafe impl<A: Subject> Send for Block<A> {}

impl<A: Subject> Block<A> {
    /// The address, to be sent to another thread.
    pub(crate) fn into_raw(self) -> *mut u64 {
        self.address.as_ptr()
    }

    /// The block at an address that [`Block::into_raw`] returned; `None` for null.
    ///
    /// # Safety
    /// `address` is null, or came from a block of the same allocator and is not used for a second one.
    pub(crate) unsafe fn from_raw(address: *mut u64) -> Option<Block<A>> {
        NonNull::new(address).map(|address| Block { address, heap: PhantomData })
    }
}

/// A block of a size that the compiler does not know.
#[derive(Debug)]
pub(crate) struct AnyBlock<A> {
    address: NonNull<u64>,
    size: u16,
    heap: PhantomData<A>,
}

/// A thread that allocates from `A` and frees, with a probe that measures it.
///
/// Each block has a [`tag`] in its first word.
#[derive(Debug)]
pub(crate) struct User<A, P> {
    heap: A,
    /// What is measured.
    pub(crate) probe: P,
}

impl<A: Subject, P: Probe> User<A, P> {
    /// A user measured by `probe`.
    pub(crate) fn new(probe: P) -> User<A, P> {
        User { heap: A::default(), probe }
    }

    /// A user for another thread; what its probe has seen is to be given to [`Probe::join`].
    pub(crate) fn fork(&self) -> User<A, P> {
        User::new(self.probe.fork())
    }

    /// Allocates 64 bytes.
    #[inline(always)]
    pub(crate) fn take(&mut self, tag: u64) -> Block<A> {
        Block { address: self.allocate(BLOCK, tag), heap: PhantomData }
    }

    /// Frees what [`User::take`] returned.
    #[inline(always)]
    pub(crate) fn give(&mut self, block: Block<A>, tag: u64) {
        // SAFETY: the block is of `A`, was allocated with this layout, and is used up here.
        unsafe { self.free(block.address, BLOCK, tag) };
    }

    /// Allocates `size` bytes, which are at least 8.
    #[inline(always)]
    pub(crate) fn take_any(&mut self, size: u16, tag: u64) -> AnyBlock<A> {
        AnyBlock { address: self.allocate(layout(size.into()), tag), size, heap: PhantomData }
    }

    /// Frees what [`User::take_any`] returned.
    #[inline(always)]
    pub(crate) fn give_any(&mut self, block: AnyBlock<A>, tag: u64) {
        // SAFETY: the block is of `A`, was allocated with this layout, and is used up here.
        unsafe { self.free(block.address, layout(block.size.into()), tag) };
    }

    #[inline(always)]
    fn allocate(&mut self, layout: Layout, tag: u64) -> NonNull<u64> {
        let heap = self.heap;
        // SAFETY: no size in the workloads is 0.
        let address = self.probe.operation(|| unsafe { heap.alloc(layout) });
        let address = NonNull::new(address).unwrap_or_else(|| handle_alloc_error(layout)).cast();
        // SAFETY: the allocator has just handed out the block, so nothing else uses it; it is aligned to a word and not
        // smaller than one.
        unsafe { address.write(tag) };
        address
    }

    /// # Safety
    /// The block is one of `A`, allocated with `layout`, and nothing else uses it.
    #[inline(always)]
    unsafe fn free(&mut self, address: NonNull<u64>, layout: Layout, tag: u64) {
        // SAFETY: by the caller's contract the block is live; its first word was written when it was allocated.
        let found = unsafe { address.read() };
        tag::check(address, found, tag);
        let heap = self.heap;
        // SAFETY: by the caller's contract `A` has allocated the block with `layout`, and nothing uses it after this.
        self.probe.operation(|| unsafe { heap.dealloc(address.as_ptr().cast(), layout) });
    }
}

/// Whether `A` is what serves its requests: blocks of several sizes, and it owns them all.
pub(crate) fn serves<A: Subject>() -> bool {
    let (heap, (least, greatest)) = (A::default(), SIZES);
    [BLOCK, layout(least.into()), layout(greatest.into())].into_iter().all(|layout| {
        // SAFETY: the sizes are not 0, and the block is freed once, with the layout that it was allocated with.
        unsafe {
            let block = black_box(heap.alloc(layout));
            let owned = !block.is_null() && A::owns(block);
            if !block.is_null() {
                heap.dealloc(block, layout);
            }
            owned
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Whole;
    use std::alloc::System;

    impl Subject for System {
        fn owns(_: *const u8) -> bool {
            true
        }

        fn purge() {}

        fn counts() -> Vec<LayerCounts> {
            Vec::new()
        }
    }

    #[test]
    #[should_panic(expected = "was changed while it was in use")]
    fn a_changed_block_is_noticed() {
        let mut user: User<System, Whole> = User::new(Whole::default());
        let block = user.take(1);
        user.give(block, 2);
    }

    #[test]
    fn counts_are_differences() {
        let earlier = LayerCounts { layer: "sll", hits: 1, misses: 2, refills: 3, flushes: 4 };
        let later = LayerCounts { layer: "sll", hits: 11, misses: 22, refills: 33, flushes: 44 };
        assert_eq!(later.since(&earlier), LayerCounts { layer: "sll", hits: 10, misses: 20, refills: 30, flushes: 40 });
    }
}
