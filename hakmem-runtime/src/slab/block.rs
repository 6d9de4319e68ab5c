//! A free block, and a chain of them.

use crate::sys::fatal::fatal;
use core::cell::Cell;
use core::ptr;

/// A free block: its first word links to the next one. An allocated block has no such view.
#[repr(C)]
#[derive(Debug)]
pub struct Block {
    pub(crate) next: *mut Block,
}

impl Block {
    /// The block behind this one.
    ///
    /// # Safety
    /// `block` is free, and the caller owns the list it is on.
    #[inline(always)]
    pub unsafe fn next(block: *mut Block) -> *mut Block {
        // SAFETY: a free block's first word is its link, and the caller owns the list.
        unsafe { (*block).next }
    }

    /// Takes the first block off the list that begins at `head`; null where there is none.
    ///
    /// # Safety
    /// The caller owns the list.
    #[inline(always)]
    pub(crate) unsafe fn pop(head: &Cell<*mut Block>) -> *mut Block {
        let block = head.get();
        if !block.is_null() {
            // SAFETY: what is on the caller's list is free.
            head.set(unsafe { Block::next(block) });
        }
        block
    }

    /// Has the processor fetch the beginning of `block`, which may be any pointer: one instruction, for which nothing waits.
    #[inline(always)]
    pub(crate) fn prefetch(block: *mut Block) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint, which faults nowhere.
        unsafe {
            core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(block.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = block;
    }

    /// Puts `block` first on the list that begins at `head`.
    ///
    /// # Safety
    /// The caller owns the list and the block.
    #[inline(always)]
    pub(crate) unsafe fn push(head: &Cell<*mut Block>, block: *mut Block) {
        // SAFETY: the block is the caller's.
        unsafe { Block::set_next(block, head.get()) };
        head.set(block);
    }

    /// `block`, which is one. Said to the compiler, so that nobody tests again whether an allocation found something.
    ///
    /// # Safety
    /// `block` is not null.
    #[inline(always)]
    pub(crate) unsafe fn found(block: *mut Block) -> *mut Block {
        // SAFETY: the caller's contract.
        unsafe { core::hint::assert_unchecked(!block.is_null()) };
        block
    }

    /// Links `block` to `next`.
    ///
    /// # Safety
    /// `block` is at least a word of writable memory that the caller owns.
    #[inline(always)]
    pub unsafe fn set_next(block: *mut Block, next: *mut Block) {
        // SAFETY: the caller owns the block's memory; it is at least 8 bytes, aligned to 8.
        unsafe { (*block).next = next }
    }
}

/// A chain of free blocks of one class, owned by whoever holds the value.
///
/// # Invariants
/// `head` leads through exactly `count` blocks to null; `count == 0 ⇔ head.is_null()`. `last` is the last of them, or
/// null where nobody has come by it: then whoever needs it walks.
#[derive(Debug)]
#[must_use = "a dropped chain is leaked memory"]
pub struct Chain {
    pub(crate) head: *mut Block,
    pub(crate) last: *mut Block,
    pub(crate) count: u32,
}

impl Chain {
    /// No blocks.
    pub const EMPTY: Chain = Chain { head: ptr::null_mut(), last: ptr::null_mut(), count: 0 };

    /// The list of `count` blocks that starts at `head`.
    pub(crate) const fn new(head: *mut Block, count: u32) -> Chain {
        Chain { head, last: ptr::null_mut(), count }
    }

    /// The chain of one block.
    ///
    /// # Safety
    /// The caller owns `block` and hands it over.
    pub unsafe fn one(block: *mut Block) -> Chain {
        // SAFETY: the caller owns the block.
        unsafe { Block::set_next(block, ptr::null_mut()) };
        Chain { head: block, last: block, count: 1 }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many blocks there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The first block, or null.
    pub fn head(&self) -> *mut Block {
        self.head
    }

    /// Takes the first block off, or null where there is none.
    pub fn pop(&mut self) -> *mut Block {
        let block = self.head;
        if !block.is_null() {
            // SAFETY: the chain owns its blocks.
            self.head = unsafe { Block::next(block) };
            self.count = self.count.wrapping_sub(1);
        }
        block
    }

    /// Splits off everything behind the first `keep` blocks. `keep` must not be 0.
    pub fn split_off(&mut self, keep: u32) -> Chain {
        if self.count <= keep {
            return Chain::EMPTY;
        }
        let mut cut = self.head;
        for _ in 1..keep {
            // SAFETY: `keep < count`, so the walk stays on blocks that the chain owns.
            cut = unsafe { Block::next(cut) };
        }
        // SAFETY: `cut` is one of the chain's blocks.
        let head = unsafe { Block::next(cut) };
        // SAFETY: as above.
        unsafe { Block::set_next(cut, ptr::null_mut()) };
        let rest = Chain { head, last: self.last, count: self.count.wrapping_sub(keep) };
        self.last = cut;
        self.count = keep;
        rest
    }

    /// Puts a block behind the last. The chain is whole again only after [`Chain::close`].
    #[inline]
    pub(crate) fn append(&mut self, block: *mut Block) {
        if self.head.is_null() {
            self.head = block;
        } else {
            // SAFETY: the last block is the chain's.
            unsafe { Block::set_next(self.last, block) };
        }
        self.last = block;
        self.count = self.count.wrapping_add(1);
    }

    /// Ends what `append` built.
    pub(crate) fn close(&mut self) {
        if !self.last.is_null() {
            // SAFETY: the last block is the chain's.
            unsafe { Block::set_next(self.last, ptr::null_mut()) };
        }
    }

    /// Puts `front` before this chain.
    pub fn prepend(&mut self, front: Chain) {
        if front.is_empty() {
            return;
        }
        if self.is_empty() {
            *self = front;
            return;
        }
        // SAFETY: the last block of a chain that we now own.
        unsafe { Block::set_next(front.last(), self.head) };
        self.head = front.head;
        self.count = self.count.wrapping_add(front.count);
    }

    /// The last block; walks if it must.
    fn last(&self) -> *mut Block {
        if !self.last.is_null() {
            return self.last;
        }
        let mut last = self.head;
        for _ in 1..self.count {
            // SAFETY: the walk makes `count - 1` steps along blocks that the chain owns.
            last = unsafe { Block::next(last) };
        }
        last
    }

    /// At most `want` blocks from `next`, until it has none.
    pub(crate) fn gather(want: u32, mut next: impl FnMut() -> *mut Block) -> Chain {
        let mut chain = Chain::EMPTY;
        while chain.count < want {
            let block = next();
            if block.is_null() {
                break;
            }
            chain.append(block);
        }
        chain.close();
        chain
    }

    /// The chain of `blocks`, in this order. Writes a link into each.
    pub fn link(blocks: &[*mut Block]) -> Chain {
        let mut chain = Chain::EMPTY;
        for &block in blocks {
            chain.append(block);
        }
        chain.close();
        chain
    }

    /// Writes the blocks to `slots`, of which there are enough, and returns how many they were.
    pub fn unlink(self, slots: &mut [*mut Block]) -> usize {
        debug_assert!(self.count as usize <= slots.len());
        let count = self.count as usize;
        for (slot, block) in slots.iter_mut().zip(self) {
            *slot = block;
        }
        count
    }

    /// The list that starts at `head` and ends with null: its length and last block found by walking.
    ///
    /// # Safety
    /// The caller owns the list and hands it over.
    pub unsafe fn walk(head: *mut Block) -> Chain {
        let mut chain = Chain { head, ..Chain::EMPTY };
        let mut block = head;
        while !block.is_null() {
            chain.count = chain.count.wrapping_add(1);
            if chain.count > LONGEST {
                fatal("a list of free blocks has no end: a block was freed twice", block.addr());
            }
            chain.last = block;
            // SAFETY: the list is the caller's.
            block = unsafe { Block::next(block) };
        }
        chain
    }
}

/// More blocks than any list has: a span has fewer, and no layer keeps more than 65,535.
const LONGEST: u32 = 1 << 23;

/// Block after block. The link of each is read before it is handed out, so that its memory may be used at once.
impl IntoIterator for Chain {
    type Item = *mut Block;
    type IntoIter = Blocks;

    #[inline]
    fn into_iter(self) -> Blocks {
        Blocks(self)
    }
}

/// The blocks of a chain, one after the other.
#[derive(Debug)]
pub struct Blocks(Chain);

impl Iterator for Blocks {
    type Item = *mut Block;

    #[inline]
    fn next(&mut self) -> Option<*mut Block> {
        let block = self.0.pop();
        (!block.is_null()).then_some(block)
    }
}

/// Free blocks that lie side by side, owned by whoever holds the value. Nothing is written to them.
#[derive(Debug, Clone, Copy)]
#[must_use = "a dropped run is leaked memory"]
pub struct Run {
    pub(crate) start: usize,
    pub(crate) count: u32,
    pub(crate) size: u32,
}

impl Run {
    /// Passes each block to `each`, in ascending order.
    #[inline]
    pub(crate) fn for_each(self, mut each: impl FnMut(*mut Block)) {
        for index in 0..self.count {
            let address = self.start.wrapping_add(index as usize * self.size as usize);
            each(ptr::with_exposed_provenance_mut(address));
        }
    }
}
