//! Free blocks: one, and a list of them linked through the blocks themselves.

use crate::sys::fatal::fatal;
use core::cell::Cell;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

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

    /// The block that an allocation returned; `None` if that is null.
    ///
    /// # Safety
    /// As [`FreeBlock::from_raw`], if `block` is not null.
    #[inline(always)]
    pub(crate) unsafe fn from_nullable(block: *mut u8) -> Option<FreeBlock> {
        NonNull::new(block.cast()).map(FreeBlock)
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

/// What a walk along a list found: how many blocks there are, at least one, and which is the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walked {
    pub(crate) count: u32,
    last: NonNull<Link>,
}

impl Walked {
    /// The walk of what is left after the first `skipped` blocks; `None` if nothing is.
    pub(crate) fn after(self, skipped: u32) -> Option<Walked> {
        let count = self.count.checked_sub(skipped).filter(|&count| count > 0)?;
        Some(Walked { count, last: self.last })
    }
}

/// A list of free blocks of one class, last in first out. One thread pushes and pops; while it sleeps, another one may read
/// the first block (`slab/parked.rs`), hence the atomic, whose loads and stores are plain ones on every machine that we run on.
///
/// # Invariants
/// `head` leads through the first words of blocks that the list owns to null.
#[repr(transparent)]
#[derive(Debug)]
pub struct FreeList {
    head: AtomicPtr<Link>,
}

impl FreeList {
    /// No blocks.
    pub const EMPTY: FreeList = FreeList { head: AtomicPtr::new(ptr::null_mut()) };

    /// A list that starts with `first`.
    #[inline(always)]
    fn starting_with(first: Next) -> FreeList {
        FreeList { head: AtomicPtr::new(pointer(first)) }
    }

    /// The first block's link.
    #[inline(always)]
    fn first(&self) -> Next {
        NonNull::new(self.head.load(Ordering::Relaxed))
    }

    #[inline(always)]
    fn set_first(&self, first: Next) {
        // Release pairs with the Acquire in `peek`: the links are visible there.
        self.head.store(pointer(first), Ordering::Release);
    }

    /// The first block's address, or null, for a thread that does not own the list.
    pub(super) fn peek(&self) -> *mut u8 {
        self.head.load(Ordering::Acquire).cast()
    }

    /// Puts `block` first.
    #[inline(always)]
    pub fn push(&self, block: FreeBlock) {
        next(block.0).set(self.first());
        self.set_first(Some(block.0));
    }

    /// Takes the first block off.
    #[inline(always)]
    pub fn pop(&self) -> Option<FreeBlock> {
        let first = self.first()?;
        self.set_first(next(first).get());
        Some(FreeBlock(first))
    }

    /// [`pop`](FreeList::pop), after which the processor fetches the next block: one instruction, for which nothing waits.
    #[inline(always)]
    pub(crate) fn pop_and_prefetch(&self) -> Option<FreeBlock> {
        let first = self.first()?;
        let second = next(first).get();
        self.set_first(second);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint that takes any address and faults at none.
        unsafe {
            core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(address(second).cast());
        }
        Some(FreeBlock(first))
    }

    /// Whether there is no block.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// All blocks, as a list of their own; this one is empty then.
    #[inline(always)]
    pub(crate) fn take_all(&self) -> FreeList {
        let all = FreeList::starting_with(self.first());
        self.set_first(None);
        all
    }

    /// Becomes `other`. Must be empty.
    #[inline(always)]
    pub(crate) fn set(&self, other: FreeList) {
        debug_assert!(self.is_empty());
        self.set_first(other.first());
    }

    /// Puts `more` first. `walked`, if `Some`, is the length and the last block of `more`.
    pub(super) fn prepend(&self, more: FreeList, walked: Option<Walked>) {
        if !self.is_empty() {
            let Some(Walked { last, .. }) = walked.or_else(|| more.walk()) else { return };
            next(last).set(self.first());
        }
        if !more.is_empty() {
            self.set_first(more.first());
        }
    }

    /// Walks the list to its end; `None` if there is no block. A cyclic list aborts.
    pub(crate) fn walk(&self) -> Option<Walked> {
        let mut found = Walked { count: 1, last: self.first()? };
        while let Some(block) = next(found.last).get() {
            found = Walked { count: found.count.wrapping_add(1), last: block };
            if found.count > LONGEST {
                fatal("double free: cyclic free list", block.addr().get());
            }
        }
        Some(found)
    }

    /// Puts `more`, whose length and last block `walked` is, at the end. `known`, if `Some`, is the same of this list.
    /// Returns the same of both.
    #[inline]
    pub(super) fn append(&self, known: Option<Walked>, more: FreeList, walked: Walked) -> Walked {
        match known.or_else(|| self.walk()) {
            Some(Walked { count, last }) => {
                next(last).set(more.first());
                Walked { count: count.wrapping_add(walked.count), last: walked.last }
            }
            None => {
                self.set(more);
                walked
            }
        }
    }

    /// Takes up to `most` blocks off the front. `None`: there are none, or `most` is 0.
    pub(super) fn take_front(&self, most: u32) -> Option<(FreeList, Walked)> {
        let mut found = Walked { count: 1, last: self.first().filter(|_| most > 0)? };
        while found.count < most
            && let Some(block) = next(found.last).get()
        {
            found = Walked { count: found.count.wrapping_add(1), last: block };
        }
        let front = FreeList::starting_with(self.first());
        self.set_first(next(found.last).take());
        Some((front, found))
    }

    /// Splits off all but the first `keep` blocks.
    pub(crate) fn split_off(&self, keep: u32) -> FreeList {
        let Some(before) = keep.checked_sub(1) else { return self.take_all() };
        let Some(mut last) = self.first() else { return FreeList::EMPTY };
        for _ in 0..before {
            let Some(block) = next(last).get() else { return FreeList::EMPTY };
            last = block;
        }
        FreeList::starting_with(next(last).take())
    }

    /// How many blocks there are, by walking, but `most` at the most.
    pub(crate) fn len_up_to(&self, most: u32) -> u32 {
        let mut count = 0_u32;
        let mut link = self.first();
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

    /// The first block's address, or null; for a list that is handed to another thread.
    pub(crate) fn into_head(self) -> *mut u8 {
        address(self.first())
    }

    /// The list that starts at `head`.
    ///
    /// # Safety
    /// `head` came from [`FreeList::into_head`], and the caller owns that list.
    pub(crate) unsafe fn from_head(head: *mut u8) -> FreeList {
        FreeList { head: AtomicPtr::new(head.cast()) }
    }

    /// Makes `tail`, the last block of a list, lead to the block at `successor`, or to none if that is null.
    ///
    /// # Safety
    /// `tail` is a block of a list that the caller owns. `successor` is null, or the head of a list that becomes part
    /// of it before anyone follows the link.
    pub(crate) unsafe fn link(tail: *mut u8, successor: *mut u8) {
        if let Some(tail) = NonNull::new(tail.cast()) {
            next(tail).set(NonNull::new(successor.cast()));
        }
    }
}

/// A link as a pointer.
#[inline(always)]
fn pointer(link: Next) -> *mut Link {
    link.map_or(ptr::null_mut(), NonNull::as_ptr)
}

/// The address of a block, or null.
#[inline(always)]
fn address(block: Next) -> *mut u8 {
    pointer(block).cast()
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
        FreeList::starting_with(self.first)
    }

    /// The list, to which `count` blocks were pushed, and what a walk along it would find.
    pub(super) fn finish_walked(self, count: u32) -> Option<(FreeList, Walked)> {
        let last = self.last?;
        Some((self.finish(), Walked { count, last }))
    }
}

/// The blocks of a list, one after the other. The link of each is read before it is handed out, so that its memory may be used
/// at once.
#[derive(Debug)]
pub(crate) struct Blocks(Next);

impl Iterator for Blocks {
    type Item = FreeBlock;

    #[inline]
    fn next(&mut self) -> Option<FreeBlock> {
        let first = self.0?;
        self.0 = next(first).get();
        Some(FreeBlock(first))
    }
}

impl FreeList {
    /// All blocks. (Not the list itself, whose head is in memory after each.)
    #[inline]
    pub(crate) fn into_blocks(self) -> Blocks {
        Blocks(self.first())
    }
}
