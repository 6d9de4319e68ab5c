//! Free blocks: one, a list of them linked through the blocks themselves, and a batch of them.

use crate::sys::fatal::fatal;
use core::cell::Cell;
use core::mem::MaybeUninit;
use core::ops::Range;
use core::ptr::{self, NonNull};

/// A free block. The value owns it.
///
/// # Invariants
/// It points to at least a word of writable memory, aligned to a word, which is a block of some class and which nobody
/// else reads or writes.
#[repr(transparent)]
#[derive(Debug, PartialEq, Eq, Hash)]
#[must_use = "a block that is dropped is leaked"]
pub struct FreeBlock(NonNull<Link>);

/// The first word of a block on a list: where the next one is.
#[repr(transparent)]
#[derive(Debug)]
struct Link(Cell<Next>);

/// The block after one on a list, or the first of a list.
type Next = Option<NonNull<Link>>;

/// The link in the block at `link`, which a value of this module owns.
#[inline(always)]
fn next<'a>(link: NonNull<Link>) -> &'a Cell<Next> {
    // SAFETY: a block that a `FreeBlock` or a list owns is at least a word to write, and nobody else's.
    unsafe { &link.as_ref().0 }
}

impl FreeBlock {
    /// Takes ownership of the block at `block`.
    ///
    /// # Safety
    /// `block` is a block of some class that the caller owns and does not use any more, and what it is given to
    /// (layers, a batch, slabs) is of that class.
    #[inline(always)]
    pub unsafe fn from_raw(block: *mut u8) -> FreeBlock {
        // SAFETY: a block's address is not null.
        FreeBlock(unsafe { NonNull::new_unchecked(block.cast()) })
    }

    /// The block's address; the caller owns the block from now on.
    #[inline(always)]
    pub fn into_raw(self) -> *mut u8 {
        self.0.as_ptr().cast()
    }

    /// The block's address.
    #[inline(always)]
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.0.as_ptr().cast()
    }

    /// The block's address as a number.
    #[inline(always)]
    pub fn addr(&self) -> usize {
        self.0.addr().get()
    }
}

/// The pointer that an allocation returns: null where there is no block.
#[inline(always)]
pub(crate) fn into_raw(block: Option<FreeBlock>) -> *mut u8 {
    block.map_or(ptr::null_mut(), FreeBlock::into_raw)
}

/// More blocks than any list has: a span has fewer, and so have layers, whose limits are below this.
const LONGEST: u32 = 1 << 23;

/// A list of free blocks of one class, last in first out.
///
/// # Invariants
/// `head` leads through the first words of blocks that the list owns to null.
#[repr(transparent)]
#[derive(Debug)]
pub struct FreeList {
    head: Cell<Next>,
}

impl FreeList {
    /// No blocks.
    pub const EMPTY: FreeList = FreeList { head: Cell::new(None) };

    /// Puts `block` first.
    #[inline(always)]
    pub fn push(&self, block: FreeBlock) {
        next(block.0).set(self.head.get());
        self.head.set(Some(block.0));
    }

    /// Takes the first block off.
    #[inline(always)]
    pub fn pop(&self) -> Option<FreeBlock> {
        let first = self.head.get()?;
        self.head.set(next(first).get());
        Some(FreeBlock(first))
    }

    /// Whether there is no block.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.head.get().is_none()
    }

    /// All blocks, as a list of their own; this one is empty then.
    #[inline(always)]
    pub(crate) fn take_all(&self) -> FreeList {
        FreeList { head: Cell::new(self.head.take()) }
    }

    /// Becomes `other`. Must be empty.
    #[inline(always)]
    pub(crate) fn set(&self, other: FreeList) {
        debug_assert!(self.is_empty());
        self.head.set(other.head.get());
    }

    /// Puts the blocks of `batch` first; the last that went into the batch is the last to come off.
    pub(crate) fn push_batch(&self, mut batch: Batch<'_>) {
        // A list is not linked anew: its last block leads to what was here.
        let listed = batch.list.take_all();
        if !listed.is_empty() {
            if !self.is_empty()
                && let Some(Walked { last, .. }) = batch.walked.or_else(|| listed.walk())
            {
                next(last).set(self.head.get());
            }
            self.head.set(listed.head.get());
        }
        while let Some(block) = batch.pop() {
            self.push(block);
        }
    }

    /// Walks the list to its end; `None` if there is no block. A list without an end ends the program.
    pub(crate) fn walk(&self) -> Option<Walked> {
        let mut found = Walked { count: 1, last: self.head.get()? };
        while let Some(block) = next(found.last).get() {
            found = Walked { count: found.count.wrapping_add(1), last: block };
            if found.count > LONGEST {
                fatal("double free: cyclic free list", block.addr().get());
            }
        }
        Some(found)
    }

    /// Splits off all but the first `keep` blocks.
    pub(crate) fn split_off(&self, keep: u32) -> FreeList {
        let mut place = &self.head;
        for _ in 0..keep {
            let Some(block) = place.get() else { return FreeList::EMPTY };
            place = next(block);
        }
        FreeList { head: Cell::new(place.take()) }
    }

    /// How many blocks there are, by walking, but `most` at the most.
    pub(crate) fn len_up_to(&self, most: u32) -> u32 {
        let mut count = 0_u32;
        let mut link = self.head.get();
        while count < most
            && let Some(block) = link
        {
            count = count.wrapping_add(1);
            link = next(block).get();
        }
        count
    }

    /// How many blocks there are, by walking.
    pub(crate) fn len(&self) -> u32 {
        self.walk().map_or(0, |found| found.count)
    }

    /// Has the processor fetch the first block: one instruction, for which nothing waits.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint that takes any address and faults at none.
        unsafe {
            core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(address(self.head.get()).cast());
        }
    }

    /// The first block's address, or null; for a list that is handed to another thread.
    pub(crate) fn into_head(self) -> *mut u8 {
        address(self.head.get())
    }

    /// The list that starts at `head`.
    ///
    /// # Safety
    /// `head` came from [`FreeList::into_head`], and the caller owns that list.
    pub(crate) unsafe fn from_head(head: *mut u8) -> FreeList {
        FreeList { head: Cell::new(NonNull::new(head.cast())) }
    }

    /// Makes `tail`, the last block of a list, lead to the block at `behind`, or to none where that is null.
    ///
    /// # Safety
    /// `tail` is a block of a list that the caller owns.
    pub(crate) unsafe fn link(tail: *mut u8, behind: *mut u8) {
        if let Some(tail) = NonNull::new(tail.cast()) {
            next(tail).set(NonNull::new(behind.cast()));
        }
    }
}

/// The address of a block, or null.
#[inline(always)]
fn address(block: Next) -> *mut u8 {
    block.map_or(ptr::null_mut(), |block| block.as_ptr().cast())
}

/// A list in the making, first block first.
#[derive(Debug)]
pub(crate) struct ListBuilder {
    first: Next,
    last: Next,
}

impl ListBuilder {
    pub(crate) const fn new() -> ListBuilder {
        ListBuilder { first: None, last: None }
    }

    /// Puts `block` last.
    #[inline]
    pub(crate) fn push(&mut self, block: FreeBlock) {
        match self.last {
            Some(last) => next(last).set(Some(block.0)),
            None => self.first = Some(block.0),
        }
        self.last = Some(block.0);
    }

    /// The list.
    pub(crate) fn finish(self) -> FreeList {
        if let Some(last) = self.last {
            next(last).set(None);
        }
        FreeList { head: Cell::new(self.first) }
    }
}

/// Block after block. The link of each is read before it is handed out, so that its memory may be used at once.
impl Iterator for FreeList {
    type Item = FreeBlock;

    #[inline]
    fn next(&mut self) -> Option<FreeBlock> {
        self.pop()
    }
}

/// A cell for a pointer to a block.
#[repr(transparent)]
#[derive(Debug)]
pub struct Slot(Cell<MaybeUninit<*mut u8>>);

impl Slot {
    /// A place that holds null.
    pub const EMPTY: Slot = Slot(Cell::new(MaybeUninit::new(ptr::null_mut())));

    /// Remembers `block`.
    #[inline(always)]
    pub(crate) fn set(&self, block: FreeBlock) {
        self.0.set(MaybeUninit::new(block.into_raw()));
    }

    /// Takes the block that was remembered last. (The slot is not changed.)
    ///
    /// # Safety
    /// A block was remembered, and the caller owns it, as it was not taken since.
    #[inline(always)]
    pub(crate) unsafe fn take(&self) -> FreeBlock {
        // SAFETY: the caller's contract.
        unsafe { FreeBlock::from_raw(self.0.get().assume_init()) }
    }

    /// Whether it is `block` that was remembered last. Not for the slots of a [`BatchBuffer`].
    pub(crate) fn holds(&self, block: *mut u8) -> bool {
        // SAFETY: slots of layers begin with null, and are only set to blocks.
        unsafe { self.0.get().assume_init() == block }
    }

    /// Remembers what `other` does.
    pub(crate) fn copy(&self, other: &Slot) {
        self.0.set(other.0.get());
    }

    fn swap(&self, other: &Slot) {
        self.0.swap(&other.0);
    }
}

/// Blocks in a [`BatchBuffer`].
const BUFFER: usize = 128;

/// Room on the stack for a batch of blocks.
#[derive(Debug)]
pub(crate) struct BatchBuffer([Slot; BUFFER]);

impl BatchBuffer {
    /// Room for 128 blocks.
    #[inline(always)]
    pub(crate) const fn new() -> BatchBuffer {
        // Not null: that would be a kilobyte to write for each refill.
        BatchBuffer([const { Slot(Cell::new(MaybeUninit::uninit())) }; BUFFER])
    }

    /// An empty batch of at most `most` blocks, and no more than there is room for.
    pub(crate) fn batch(&self, most: u32) -> Batch<'_> {
        Batch::new(self.0.get(..most as usize).unwrap_or(&self.0))
    }
}

/// Free blocks of one class on their way from one layer to the next. Layers that keep pointers make batches of
/// pointers, so that no block is read or written; layers that link their blocks make lists, so that none is linked
/// twice.
///
/// # Invariants
/// The batch owns the blocks that `slots[..len]` point to, in a batch of pointers; in a list, those of `list`, of which
/// `walked` is true if it is there. There is room for `slots.len() - len` pointers, or for `room` blocks in the list.
#[derive(Debug)]
#[must_use = "the blocks of a batch that is dropped are leaked"]
pub struct Batch<'a> {
    slots: &'a [Slot],
    len: usize,
    list: FreeList,
    walked: Option<Walked>,
    room: u32,
}

/// What a walk along a list found: how many blocks there are, at least one, and which is the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walked {
    pub(crate) count: u32,
    last: NonNull<Link>,
}

impl Walked {
    /// The same of the list behind the first `first` blocks; `None` if there is none.
    pub(crate) fn behind(self, first: u32) -> Option<Walked> {
        let count = self.count.checked_sub(first).filter(|&count| count > 0)?;
        Some(Walked { count, last: self.last })
    }
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
        next(block.0).set(None);
        self.append(block.0, Walked { count: 1, last: block.0 });
        None
    }

    /// Puts the blocks from `first` on at the end of the list.
    #[inline]
    fn append(&mut self, first: NonNull<Link>, mut more: Walked) {
        match self.walked.or_else(|| self.list.walk()) {
            Some(Walked { count, last }) => {
                next(last).set(Some(first));
                more.count = more.count.wrapping_add(count);
            }
            None => self.list.head.set(Some(first)),
        }
        self.walked = Some(more);
    }

    /// Takes the first blocks of `list` in, as far as there is room, and returns how many.
    pub(crate) fn fill_from(&mut self, list: &FreeList) -> u32 {
        let before = self.room();
        if self.room == 0 {
            self.fill(|| list.pop());
        } else if let Some(first) = list.head.get() {
            let mut found = Walked { count: 1, last: first };
            while found.count < self.room
                && let Some(block) = next(found.last).get()
            {
                found = Walked { count: found.count.wrapping_add(1), last: block };
            }
            list.head.set(next(found.last).take());
            self.room = self.room.wrapping_sub(found.count);
            self.append(first, found);
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
        Some(unsafe { slot.take() })
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

    /// The longest run of neighbours, `size` bytes apart, that begins with the block that came in first; and the other
    /// blocks. The caller owns the run's blocks: none where the batch has none.
    pub(crate) fn split_run(self, size: usize) -> (Range<usize>, Batch<'a>) {
        let blocks = self.slots.get(..self.len).unwrap_or_default();
        // SAFETY: below `len` each slot points to a block that the batch owns; only addresses are read.
        let addresses = blocks.iter().map(|slot| unsafe { slot.take() }.addr());
        let start = addresses.clone().next().unwrap_or(0);
        let count = addresses.enumerate().take_while(|&(index, at)| at == start.wrapping_add(index * size)).count();
        let others = blocks.get(count..).unwrap_or_default();
        (start..start.wrapping_add(count * size), Batch { slots: others, len: others.len(), ..self })
    }

    /// The number of blocks, which the owner of the slots owns from now on: they are in the first slots, in order.
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
        for index in 0..self.len / 2 {
            if let (Some(one), Some(other)) = (self.slots.get(index), self.slots.get(self.len - 1 - index)) {
                one.swap(other);
            }
        }
        self.len as u32
    }
}
