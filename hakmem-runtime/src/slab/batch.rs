//! A batch of free blocks, on its way from one layer to the next.

use super::bitmap::Run;
use super::free_list::{FreeBlock, FreeList, ListBuilder, Walked};
use core::ops::Range;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// A slot: a pointer to a block, or null. It does not own the block; what has the slot says who does. An atomic, as another
/// thread may read the slots of one that sleeps (`heapv2`); loads and stores are plain ones.
#[repr(transparent)]
#[derive(Debug)]
pub struct Slot(AtomicPtr<u8>);

impl Slot {
    /// A slot with null.
    pub const EMPTY: Slot = Slot(AtomicPtr::new(ptr::null_mut()));

    /// Stores `block`.
    #[inline(always)]
    pub(crate) fn set(&self, block: FreeBlock) {
        // Release pairs with the Acquire of a thread that takes the blocks over: it sees what was done to the block.
        self.0.store(block.into_raw(), Ordering::Release);
    }

    /// The block that was stored last. The slot keeps the pointer.
    ///
    /// # Safety
    /// A block was stored, and the caller owns it: no other [`FreeBlock`] is made of this pointer. What it is given to is of
    /// the block's class.
    #[inline(always)]
    pub(crate) unsafe fn read(&self) -> FreeBlock {
        // SAFETY: the caller's contract.
        unsafe { FreeBlock::from_raw(self.get()) }
    }

    /// The address in the slot.
    #[inline(always)]
    fn addr(&self) -> usize {
        self.get().addr()
    }

    /// The pointer in the slot.
    #[inline(always)]
    pub(crate) fn get(&self) -> *mut u8 {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether `block` was stored last.
    pub(crate) fn holds(&self, block: *mut u8) -> bool {
        self.get() == block
    }

    /// Copies `other`'s pointer.
    pub(crate) fn copy(&self, other: &Slot) {
        self.0.store(other.get(), Ordering::Relaxed);
    }

    /// Takes `other`'s pointer, which is null then. Another thread may write to `other` at the same time.
    pub(crate) fn move_from(&self, other: &Slot) {
        self.0.store(other.0.swap(ptr::null_mut(), Ordering::Acquire), Ordering::Relaxed);
    }

    /// Exchanges the pointers of two slots.
    pub(crate) fn swap(&self, other: &Slot) {
        let (here, there) = (self.get(), other.get());
        self.0.store(there, Ordering::Relaxed);
        other.0.store(here, Ordering::Relaxed);
    }
}

/// Free blocks of one class on their way from one layer to the next. Layers that keep pointers make batches of
/// pointers, so that no block is read or written; layers that link their blocks make lists, so that none is linked
/// twice.
///
/// # Invariants
/// The batch owns the blocks that `slots[..len]` point to, in a batch of pointers; in a list, those of `list`.
/// `walked`, if `Some`, is the length and the last block of `list`. There is room for `slots.len() - len` pointers, or
/// for `room` blocks in the list.
#[derive(Debug)]
#[must_use = "the blocks of a batch that is dropped are leaked"]
pub struct Batch<'a> {
    slots: &'a [Slot],
    len: usize,
    list: FreeList,
    walked: Option<Walked>,
    room: u32,
}

impl<'a> Batch<'a> {
    /// No blocks, and room for as many as there are slots.
    pub fn new(slots: &'a [Slot]) -> Batch<'a> {
        Batch { slots, len: 0, list: FreeList::EMPTY, walked: None, room: 0 }
    }

    /// The blocks that `slots` point to.
    ///
    /// # Safety
    /// Each slot points to a block of one class that the caller owns and hands over.
    pub unsafe fn full(slots: &'a [Slot]) -> Batch<'a> {
        Batch { slots, len: slots.len(), list: FreeList::EMPTY, walked: None, room: 0 }
    }

    /// An empty list with room for `most` blocks.
    pub(crate) fn new_list(most: u32) -> Batch<'static> {
        Batch { slots: &[], len: 0, list: FreeList::EMPTY, walked: None, room: most }
    }

    /// The blocks of a list, and what a walk along it found. There is no room for others.
    pub(crate) fn of_list(list: FreeList, walked: Option<Walked>) -> Batch<'static> {
        debug_assert!(walked.is_none_or(|walked| walked.count == list.len()));
        Batch { slots: &[], len: 0, list, walked, room: 0 }
    }

    /// Calls `with` with the batch of `block` alone.
    pub(crate) fn with_one(block: FreeBlock, with: impl FnOnce(Batch<'_>)) {
        let slot = [Slot::EMPTY];
        slot[0].set(block);
        with(Batch { slots: &slot, len: 1, list: FreeList::EMPTY, walked: None, room: 0 });
    }

    /// How many blocks there are. A list may have to be walked.
    pub fn len(&self) -> usize {
        let listed = self.walked.map_or_else(|| self.list.len(), |walked| walked.count);
        self.len.wrapping_add(listed as usize)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0 && self.list.is_empty()
    }

    /// Whether it is one pointer and no more.
    pub(crate) fn is_one_pointer(&self) -> bool {
        self.len == 1
    }

    /// How many more blocks there is room for.
    pub fn room(&self) -> u32 {
        (self.slots.len().wrapping_sub(self.len) as u32).wrapping_add(self.room)
    }

    /// Takes a block in. Without room it comes back.
    #[inline]
    pub fn push(&mut self, block: FreeBlock) -> Option<FreeBlock> {
        if let Some(slot) = self.slots.get(self.len) {
            slot.set(block);
            self.len = self.len.wrapping_add(1);
            return None;
        }
        let Some(room) = self.room.checked_sub(1) else { return Some(block) };
        self.room = room;
        let mut list = ListBuilder::new();
        list.push(block);
        self.append(list.finish_walked(1));
        None
    }

    /// Takes the blocks of a run in, for which there is room.
    #[inline]
    pub(crate) fn push_run(&mut self, run: Run) {
        let count = run.count;
        if self.room == 0 {
            for (slot, block) in self.slots.iter().skip(self.len).zip(run) {
                slot.set(block);
            }
            self.len = self.len.wrapping_add(count as usize);
            return;
        }
        self.room = self.room.wrapping_sub(count);
        self.append(run.into_list());
    }

    /// Puts a list, and what a walk along it finds, at the end of this one.
    #[inline]
    fn append(&mut self, more: Option<(FreeList, Walked)>) {
        if let Some((more, walked)) = more {
            self.walked = Some(self.list.append(self.walked, more, walked));
        }
    }

    /// Takes the first blocks of `list` in, as far as there is room, and returns how many.
    pub(crate) fn fill_from(&mut self, list: &FreeList) -> u32 {
        let before = self.room();
        if self.room == 0 {
            self.fill(|| list.pop());
        } else if let Some((front, walked)) = list.take_front(self.room) {
            self.room = self.room.wrapping_sub(walked.count);
            self.append(Some((front, walked)));
        }
        before.wrapping_sub(self.room())
    }

    /// Takes the block out that came in last; of a list, the first one.
    #[inline]
    pub fn pop(&mut self) -> Option<FreeBlock> {
        let Some(last) = self.len.checked_sub(1) else {
            self.walked = None;
            return self.list.pop();
        };
        let slot = self.slots.get(last)?;
        self.len = last;
        // SAFETY: below `len` each slot points to a block that the batch owned until now.
        Some(unsafe { slot.read() })
    }

    /// Each block, as `pop` takes them out.
    #[inline(always)]
    pub(crate) fn into_blocks(self) -> impl Iterator<Item = FreeBlock> {
        let (blocks, list, _) = self.into_parts();
        blocks.chain(list.into_blocks())
    }

    /// The blocks in slots, the last first; the list, and what a walk along it found.
    #[inline(always)]
    fn into_parts(self) -> (impl Iterator<Item = FreeBlock>, FreeList, Option<Walked>) {
        let slots = self.slots.get(..self.len).unwrap_or_default().iter().rev();
        // SAFETY: below `len` each slot points to a block that the batch owned.
        (slots.map(|slot| unsafe { slot.read() }), self.list, self.walked)
    }

    /// Takes blocks from `next` until there is no room or no more of them.
    pub(crate) fn fill(&mut self, mut next: impl FnMut() -> Option<FreeBlock>) {
        while self.room() > 0
            && let Some(block) = next()
        {
            // There is room.
            let _none = self.push(block);
        }
    }

    /// The addresses of the longest run of neighbours, `size` bytes apart, that begins with the block that came in first;
    /// and a batch of the other blocks. The caller owns the run's blocks from now on: none where the batch has none.
    pub(crate) fn split_run(self, size: usize) -> (Range<usize>, Batch<'a>) {
        let blocks = self.slots.get(..self.len).unwrap_or_default();
        let addresses = blocks.iter().map(Slot::addr);
        let start = addresses.clone().next().unwrap_or(0);
        let mut expected = start;
        let mut differences = 0;
        // Mostly they are one run. Without an early end the comparison takes several blocks at once.
        for address in addresses.clone() {
            differences |= address ^ expected;
            expected = expected.wrapping_add(size);
        }
        let count = match differences {
            0 => blocks.len(),
            _ => addresses.enumerate().take_while(|&(index, at)| at == start.wrapping_add(index * size)).count(),
        };
        let others = blocks.get(count..).unwrap_or_default();
        (start..start.wrapping_add(count * size), Batch { slots: others, len: others.len(), ..self })
    }

    /// Leaves the blocks in the first slots, in order, to the owner of the slots, and returns how many.
    pub(crate) fn into_slots(self) -> u32 {
        self.len as u32
    }

    /// Like [`into_slots`](Batch::into_slots), but the blocks are in the last slots.
    pub(crate) fn into_slots_at_end(self) -> u32 {
        let free = self.slots.len() - self.len;
        for (slot, end) in self.slots.iter().zip(self.slots.iter().skip(free)).take(self.len).rev() {
            slot.swap(end);
        }
        self.len as u32
    }

    /// Like [`into_slots`](Batch::into_slots), but in reverse order: an array that hands out its last block first hands
    /// them out in the order in which they came.
    pub(crate) fn into_slots_reversed(self) -> u32 {
        let slots = self.slots.get(..self.len).unwrap_or_default();
        let (first, last) = slots.split_at(slots.len() / 2);
        for (one, other) in first.iter().zip(last.iter().rev()) {
            one.swap(other);
        }
        self.len as u32
    }
}

impl FreeList {
    /// Puts the blocks of `batch` first; the last that went into the batch is the last to come off.
    pub(crate) fn push_batch(&self, batch: Batch<'_>) {
        let (blocks, list, walked) = batch.into_parts();
        // A list is not relinked: its last block leads to what was here.
        self.prepend(list, walked);
        blocks.for_each(|block| self.push(block));
    }
}
