//! Flush: blocks from the layers to their slabs.
//!
//! A block of a slab that the heap owns is freed there. All others are gathered by slab in a small table, so that one
//! compare-and-swap frees the blocks of a batch that share a slab, and reclaims that slab if it is abandoned.

use super::{Backing, Heap};
use crate::slab::remote::RemoteFree;
use crate::slab::{Batch, FreeBlock, FreeList, NO_CLASS, Slab};
use crate::sys::fatal::fatal;
use core::ptr;

/// Entries of the table, which is direct-mapped: of two slabs with the same entry, the blocks of the first are sent
/// when the second comes. A batch rarely has blocks of more slabs than this.
const ENTRIES: usize = 16;

/// Blocks of one slab that the heap does not own, to be freed together.
///
/// # Invariants
/// `blocks` has `count` blocks of `slab`, at least one. `tail` is the last of them.
#[derive(Debug)]
struct RemoteBatch {
    slab: &'static Slab,
    blocks: FreeList,
    tail: *mut u8,
    count: u32,
}

impl RemoteBatch {
    fn new(slab: &'static Slab, block: FreeBlock) -> RemoteBatch {
        let blocks = FreeList::EMPTY;
        let tail = ptr::with_exposed_provenance_mut(block.addr());
        blocks.push(block);
        RemoteBatch { slab, blocks, tail, count: 1 }
    }

    fn push(&mut self, block: FreeBlock) {
        self.blocks.push(block);
        self.count = self.count.wrapping_add(1);
    }

    /// Frees the blocks into their slab. If it was abandoned, this thread reclaims it: its heap keeps it, abandons it
    /// again or retires it.
    fn send(self, backing: &'static Backing, heap: Option<&Heap>) {
        let RemoteBatch { slab, blocks, tail, count } = self;
        let base = slab.base();
        let head = blocks.into_head();
        let outcome = slab.remote.push(head.addr().wrapping_sub(base) as u32, count, |listed| {
            let next = listed.map_or(ptr::null_mut(), |position| {
                ptr::with_exposed_provenance_mut(base.wrapping_add(position as usize))
            });
            // SAFETY: `tail` is the last block of the list that this batch owned, and `push` calls this only before an
            // exchange. If the exchange succeeds, the list at `next` is part of this one from then on; if it fails, the
            // link is written again, here or below, before anyone follows it.
            unsafe { FreeList::link(tail, next) };
        });
        if outcome == RemoteFree::Queued {
            return;
        }
        // The slab was abandoned: this thread owns it now, and still owns the blocks, which were not queued. SAFETY:
        // `head` came from `into_head`, and the list from it to `tail` is still this thread's. An earlier attempt of
        // `push` may have linked the tail to another block, so the end is written again.
        unsafe {
            FreeList::link(tail, ptr::null_mut());
            FreeList::from_head(head)
        }
        .into_blocks()
        .for_each(|block| slab.free(block));
        if let Some(heap) = heap {
            slab.set_owner(heap.owner_id(slab.class_index()));
            heap.keep_or_abandon(slab);
        } else {
            backing.put_back(slab);
        }
    }
}

/// The heap's own slab that the last block went to. The next block is often of the same slab, and then needs no
/// look-up.
struct OwnSlab<'a> {
    heap: &'a Heap,
    slab: &'static Slab,
    base: usize,
    length: usize,
}

impl OwnSlab<'_> {
    /// Retires the slab if the blocks that were freed into it were the last in use.
    fn finish(self) {
        if self.slab.is_empty() {
            self.heap.retire_if_not_current(self.slab);
        }
    }
}

/// Frees the blocks of `batch` into their slabs. Blocks of the heap's own slabs are not touched. `heap` is the calling
/// thread's; it has none if there was no memory for one. A block that is not of the class at `class_index` ends the
/// program.
pub(crate) fn flush(backing: &'static Backing, heap: Option<&Heap>, class_index: u32, mut batch: Batch<'_>) {
    if batch.is_one_pointer() {
        if let Some(block) = batch.pop() {
            flush_one(backing, heap, class_index, block);
        }
        return;
    }
    let geometry = backing.pool().geometry();
    let span = (backing.class(class_index).slabs as usize) << geometry.slab_shift;
    let mut gathered: [Option<RemoteBatch>; ENTRIES] = [const { None }; ENTRIES];
    let mut own: Option<OwnSlab> = None;
    for block in batch.into_blocks() {
        if let Some(own) = &own
            && block.addr().wrapping_sub(own.base) < own.length
        {
            own.slab.free(block);
            continue;
        }
        let slab = slab_of(&block, backing, class_index);
        if let Some(heap) = heap
            && slab.is_owned_by(heap.owner_id(class_index))
        {
            if let Some(last) = own.replace(OwnSlab { heap, slab, base: slab.base(), length: span }) {
                last.finish();
            }
            slab.free(block);
            continue;
        }
        let entry = (ptr::from_ref(slab).addr() / size_of::<Slab>()) % ENTRIES;
        match gathered.get_mut(entry) {
            Some(Some(other)) if ptr::eq(other.slab, slab) => other.push(block),
            Some(entry) => {
                if let Some(before) = entry.replace(RemoteBatch::new(slab, block)) {
                    before.send(backing, heap);
                }
            }
            None => {} // `entry` is below `ENTRIES`.
        }
    }
    if let Some(own) = own {
        own.finish();
    }
    for remote in gathered.into_iter().flatten() {
        remote.send(backing, heap);
    }
    if let Some(heap) = heap {
        heap.tick();
    }
}

/// [`flush`] of one block.
pub(crate) fn flush_one(backing: &'static Backing, heap: Option<&Heap>, class_index: u32, block: FreeBlock) {
    let slab = slab_of(&block, backing, class_index);
    match heap {
        Some(heap) if slab.is_owned_by(heap.owner_id(class_index)) => {
            slab.free(block);
            if slab.is_empty() {
                heap.retire_if_not_current(slab);
            }
        }
        _ => RemoteBatch::new(slab, block).send(backing, heap),
    }
}

/// The slab of `block`; ends the program if that is not of the class at `class_index`. Where blocks have headers, also if
/// it is no block of this allocator: the byte before a pointer from elsewhere may look like a header by chance.
#[inline(always)]
fn slab_of(block: &FreeBlock, backing: &Backing, class_index: u32) -> &'static Slab {
    if backing.class(class_index).has_header() && backing.slab_at(block.addr()).is_none() {
        fatal("invalid free: not a block of this allocator", block.addr());
    }
    // SAFETY: a `FreeBlock` is a block of a class of this allocator, so it is in a region of its geometry.
    let slab = unsafe { backing.pool().geometry().slab_of(block.addr()) };
    if slab.class_index() != class_index {
        misuse(slab, block.addr());
    }
    slab
}

/// Ends the program: the block at `block` was freed as one of another class than its slab has.
#[cold]
pub(super) fn misuse(slab: &Slab, block: usize) -> ! {
    if slab.class_index() == NO_CLASS {
        fatal("invalid free: already freed, or never allocated", block)
    }
    fatal("sized deallocation mismatch", block)
}
