//! A free block, and a chain of them.

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
/// `head` leads through exactly `count` blocks to null; `count == 0 ⇔ head.is_null()`.
#[derive(Debug)]
#[must_use = "a dropped chain is leaked memory"]
pub struct Chain {
    pub(crate) head: *mut Block,
    pub(crate) count: u32,
}

impl Chain {
    /// No blocks.
    pub const EMPTY: Chain = Chain { head: ptr::null_mut(), count: 0 };

    /// The chain of one block.
    ///
    /// # Safety
    /// The caller owns `block` and hands it over.
    pub unsafe fn one(block: *mut Block) -> Chain {
        // SAFETY: the caller owns the block.
        unsafe { Block::set_next(block, ptr::null_mut()) };
        Chain { head: block, count: 1 }
    }

    /// Assembles a chain from its parts.
    ///
    /// # Safety
    /// The invariants of [`Chain`] hold, and the caller owns every block.
    pub unsafe fn from_parts(head: *mut Block, count: u32) -> Chain {
        Chain { head, count }
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
        let mut last = self.head;
        for _ in 1..keep {
            // SAFETY: `keep < count`, so the walk stays on blocks that the chain owns.
            last = unsafe { Block::next(last) };
        }
        // SAFETY: `last` is one of the chain's blocks.
        let rest = Chain { head: unsafe { Block::next(last) }, count: self.count.wrapping_sub(keep) };
        // SAFETY: as above.
        unsafe { Block::set_next(last, ptr::null_mut()) };
        self.count = keep;
        rest
    }

    /// Puts `front` before this chain; the walk to its last block is the caller's price.
    pub fn prepend(&mut self, front: Chain) {
        if front.is_empty() {
            return;
        }
        if !self.is_empty() {
            let last = front.last();
            // SAFETY: `last` is the last block of a chain that we now own.
            unsafe { Block::set_next(last, self.head) };
        }
        self.head = front.head;
        self.count = self.count.wrapping_add(front.count);
    }

    /// The last block (null in an empty chain), found by walking.
    pub(crate) fn last(&self) -> *mut Block {
        let mut last = self.head;
        for _ in 1..self.count {
            // SAFETY: the walk makes `count - 1` steps along blocks that the chain owns.
            last = unsafe { Block::next(last) };
        }
        last
    }
}
