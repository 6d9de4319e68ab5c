//! Spill: blocks on their way home to their slabs.
//!
//! A block whose slab is the thread's own is pushed there. The others are gathered by slab in a small table, so that one
//! compare-and-swap frees all blocks of a batch that share a slab, and claims the slab if it was adrift.

use super::acquire::Heap;
use crate::global::Allocator;
use crate::slab::block::Block;
use crate::slab::remote::RemoteFree;
use crate::slab::{NO_CLASS, Slab};
use crate::sys::fatal::fatal;
use core::ptr;
use core::sync::atomic::Ordering;

/// Slabs gathered for at a time. A batch rarely meets more slabs than this; if it does, the next batch is sent off.
const GATHERED: usize = 16;

/// Blocks of one slab, to be freed together.
///
/// # Invariants
/// `head … tail` is a list of `count` blocks of `slab`; empty ⇔ `slab.is_null()`.
#[derive(Clone, Copy)]
struct Batch {
    slab: *mut Slab,
    head: *mut Block,
    tail: *mut Block,
    count: u32,
}

const NONE: Batch = Batch { slab: ptr::null_mut(), head: ptr::null_mut(), tail: ptr::null_mut(), count: 0 };

impl Batch {
    /// Sends it off if there is anything in it; of a spill's few there seldom is, and that is seen without a call.
    ///
    /// # Safety
    /// As [`send`].
    #[inline(always)]
    unsafe fn send(self, allocator: &'static Allocator, heap: Option<&Heap>) {
        if !self.slab.is_null() {
            // SAFETY: passed on.
            unsafe { send(allocator, heap, self) };
        }
    }
}

/// The slab of ours that the last block went to: the next one is often its neighbour, and then needs no look-up.
struct Run<'a> {
    heap: &'a Heap,
    slab: *mut Slab,
    base: usize,
    length: usize,
}

impl Run<'_> {
    /// Ends the run. The slab may have become empty by it.
    ///
    /// # Safety
    /// The slab is in the heap's bin of its class.
    unsafe fn finish(&self) {
        // SAFETY: ours.
        unsafe {
            if (*self.slab).is_empty() {
                self.heap.emptied(self.slab);
            }
        }
    }
}

/// Frees every one of `blocks` into its slab; of those that are this thread's, not a byte is touched. `heap` is the
/// calling thread's, or none where the thread has none (no memory was left for it).
///
/// # Safety
/// The blocks are the caller's, and of `class` of `allocator`.
pub(crate) unsafe fn spill(
    allocator: &'static Allocator,
    heap: Option<&Heap>,
    class: u32,
    blocks: impl Iterator<Item = *mut Block>,
) {
    let geometry = allocator.pool().geometry();
    let span = (allocator.class(class).slabs as usize) << geometry.slab_shift;
    let mut gathered = [NONE; GATHERED];
    let mut run: Option<Run> = None;
    for block in blocks {
        // SAFETY: the block is ours, and in a slab in use, for it is allocated.
        unsafe {
            if let Some(run) = &run
                && block.addr().wrapping_sub(run.base) < run.length
            {
                (*run.slab).push(block);
                continue;
            }
            let slab = geometry.slab_of(block.addr());
            if (*slab).class() != class {
                misuse(slab, block);
            }
            if let Some(heap) = heap
                && (*slab).owner.load(Ordering::Relaxed) == heap.owner_tag(class)
            {
                let next = run.replace(Run { heap, slab, base: (*slab).base(), length: span });
                if let Some(next) = next {
                    next.finish();
                }
                (*slab).push(block);
                continue;
            }
            let place = (slab.addr() / size_of::<Slab>()) % GATHERED;
            let Some(batch) = gathered.get_mut(place) else { continue };
            if batch.slab == slab {
                Block::set_next(block, batch.head);
                batch.head = block;
                batch.count = batch.count.wrapping_add(1);
            } else {
                let next = core::mem::replace(batch, Batch { slab, head: block, tail: block, count: 1 });
                next.send(allocator, heap);
            }
        }
    }
    // SAFETY: the run's slab is ours, and what was gathered is, too.
    unsafe {
        if let Some(run) = run {
            run.finish();
        }
        for batch in gathered {
            batch.send(allocator, heap);
        }
    }
    if let Some(heap) = heap {
        heap.tick();
    }
}

/// Frees one block into its slab.
///
/// # Safety
/// The block is the caller's, and of `class` of `allocator`.
pub(crate) unsafe fn spill_one(allocator: &'static Allocator, heap: Option<&Heap>, class: u32, block: *mut Block) {
    // SAFETY: the block is ours, and in a slab in use, for it is allocated.
    unsafe {
        let slab = allocator.pool().geometry().slab_of(block.addr());
        if (*slab).class() != class {
            misuse(slab, block);
        }
        match heap {
            Some(heap) if (*slab).owner.load(Ordering::Relaxed) == heap.owner_tag(class) => {
                (*slab).push(block);
                if (*slab).is_empty() {
                    heap.emptied(slab);
                }
            }
            _ => send(allocator, heap, Batch { slab, head: block, tail: block, count: 1 }),
        }
    }
}

/// Frees a batch, which is not empty, into its slab; the slab is ours afterwards if it was adrift.
unsafe fn send(allocator: &'static Allocator, heap: Option<&Heap>, batch: Batch) {
    let Batch { slab, head, tail, count } = batch;
    // SAFETY: metadata is never unmapped; the batch's blocks are ours until the push lists them.
    unsafe {
        let base = (*slab).base();
        let position = head.addr().wrapping_sub(base) as u32;
        let outcome = (*slab).remote.push(position, count, |listed| {
            let rest =
                listed.map_or(ptr::null_mut(), |at| ptr::with_exposed_provenance_mut(base.wrapping_add(at as usize)));
            Block::set_next(tail, rest);
        });
        if outcome == RemoteFree::Queued {
            return;
        }
        // Adrift, so all its blocks were allocated: ours are its only free ones.
        Block::set_next(tail, ptr::null_mut());
        (*slab).push_list(head);
        match heap {
            Some(heap) => {
                (*slab).owner.store(heap.owner_tag((*slab).class()), Ordering::Relaxed);
                heap.file(slab);
            }
            None => {
                if !allocator.pool().leave(slab) {
                    let units = allocator.class((*slab).class()).slabs;
                    (*slab).end();
                    allocator.pool().put_free(slab, units);
                }
            }
        }
    }
}

impl Heap {
    /// Makes a slab adrift this heap's if the heap would keep it. `true`: it is, and in no bin.
    ///
    /// # Safety
    /// The caller has `block`, an allocated one of the slab, and of `class`.
    pub(crate) unsafe fn claim(&self, slab: *mut Slab, class: u32, block: *mut Block) -> bool {
        // SAFETY: metadata is never unmapped; the block that the caller has keeps the slab in its class.
        unsafe {
            if !self.should_adopt(slab, class) || !(*slab).remote.claim() {
                return false;
            }
            if (*slab).class() != class {
                misuse(slab, block);
            }
            (*slab).owner.store(self.owner_tag(class), Ordering::Relaxed);
            true
        }
    }

    /// A slab of ours has no block allocated any more. The current one stays: the next refill wants it.
    ///
    /// # Safety
    /// The slab is in this heap's bin of its class.
    #[cold]
    pub(crate) unsafe fn emptied(&self, slab: *mut Slab) {
        // SAFETY: ours, and if it is not the current one it is on the partial list.
        unsafe {
            let bin = self.bin((*slab).class());
            if bin.current() != slab {
                bin.partial.remove(slab);
                self.retire(slab);
            }
        }
    }
}

/// The layout passed to `dealloc` names another class than the block's slab has.
#[cold]
unsafe fn misuse(slab: *const Slab, block: *mut Block) -> ! {
    // SAFETY: metadata is never unmapped.
    if unsafe { (*slab).class() } == NO_CLASS {
        fatal("a block was freed that is not allocated (a double free, or not a block of this allocator)", block.addr())
    }
    fatal("a block was freed with another size or alignment than it was allocated with", block.addr())
}
