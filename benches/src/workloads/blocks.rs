//! Memory that is written when it is allocated and checked when it is freed: each block has a [`tag`] in its first
//! word.

use std::alloc::{self, Layout, handle_alloc_error};
use std::ptr::NonNull;

use hakmem_harness::tag;

/// How much of a block is written when it is new, or has grown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Its last byte: what counts is whether the block is copied.
    Last,
    /// Each page: what counts, too, is whether the pages are there.
    Pages,
}

/// A block whose size the compiler does not know, at least 8 bytes.
#[derive(Debug)]
pub(super) struct Block {
    address: NonNull<u64>,
    size: usize,
}

// SAFETY: a block is memory that only its holder uses, and std's allocator is for any thread.
unsafe impl Send for Block {}

/// Bytes in a page.
pub(super) const PAGE: usize = 4096;

#[inline(always)]
fn layout(size: usize) -> Layout {
    // SAFETY: no size in the workloads comes near `isize::MAX`.
    unsafe { Layout::from_size_align_unchecked(size, align_of::<u64>()) }
}

impl Block {
    /// A block of `size` bytes, of which each page is written.
    #[inline(always)]
    pub(super) fn new(size: usize, tag: u64) -> Block {
        Block::with(size, tag, Written::Pages)
    }

    /// A block of `size` bytes, of which so much is written.
    #[inline(always)]
    pub(super) fn with(size: usize, tag: u64, written: Written) -> Block {
        // SAFETY: no size is 0.
        let address = unsafe { alloc::alloc(layout(size)) };
        let Some(address) = NonNull::new(address) else { handle_alloc_error(layout(size)) };
        let block = Block { address: address.cast(), size };
        block.write(if written == Written::Pages { PAGE } else { size }, tag);
        block
    }

    /// Writes the tag, the last byte, and a byte of each page from `from` on.
    #[inline(always)]
    fn write(&self, from: usize, tag: u64) {
        let bytes: NonNull<u8> = self.address.cast();
        // SAFETY: `at` and the last byte are below `size`, so they lie in the block; its first word does, because no
        // block is smaller than a word, and it is aligned to one. `&self` is the only reference: no other thread uses
        // the block.
        unsafe {
            let mut at = from;
            while at < self.size {
                bytes.add(at).write(tag as u8);
                at += PAGE;
            }
            bytes.add(self.size - 1).write(tag as u8);
            self.address.write(tag);
        }
    }

    /// Checks that the block still holds its tag.
    #[inline(always)]
    pub(super) fn check(&self, tag: u64) {
        // SAFETY: the first word lies in the block, is aligned, and was written when the block was allocated.
        let found = unsafe { self.address.read() };
        tag::check(self.address, found, tag);
    }

    /// Checks the tag and frees the block.
    #[inline(always)]
    pub(super) fn free(self, tag: u64) {
        self.check(tag);
        // SAFETY: the block was allocated with this layout, and `self` is consumed: nothing uses it any more.
        unsafe { alloc::dealloc(self.address.as_ptr().cast(), layout(self.size)) };
    }

    /// The block with `size` bytes, which is more than it had.
    #[inline(always)]
    pub(super) fn grow(self, size: usize, tag: u64, written: Written) -> Block {
        // SAFETY: the block was allocated with this layout, `self` is consumed, and the new size is not 0.
        let address = unsafe { alloc::realloc(self.address.as_ptr().cast(), layout(self.size), size) };
        let Some(address) = NonNull::new(address) else { handle_alloc_error(layout(size)) };
        let block = Block { address: address.cast(), size };
        block.check(tag);
        block.write(if written == Written::Pages { self.size.next_multiple_of(PAGE) } else { size }, tag);
        block
    }

    /// The bytes that were asked for.
    pub(super) fn size(&self) -> usize {
        self.size
    }
}

/// A block of a constant size, at least 8 bytes, and a constant alignment, which no type has if it exceeds the size.
#[derive(Debug)]
pub(super) struct Aligned<const SIZE: usize, const ALIGN: usize> {
    address: NonNull<u64>,
}

impl<const SIZE: usize, const ALIGN: usize> Aligned<SIZE, ALIGN> {
    const LAYOUT: Layout = match Layout::from_size_align(SIZE, ALIGN) {
        Ok(layout) if SIZE >= size_of::<u64>() && ALIGN >= align_of::<u64>() => layout,
        _ => panic!("a tag has no place in it"),
    };

    /// A block of which the first word is written.
    #[inline(always)]
    pub(super) fn new(tag: u64) -> Self {
        // SAFETY: the size is not 0.
        let address = unsafe { alloc::alloc(Self::LAYOUT) };
        let Some(address) = NonNull::new(address) else { handle_alloc_error(Self::LAYOUT) };
        assert!(address.addr().get().is_multiple_of(ALIGN), "{address:?} is not aligned to {ALIGN}");
        let address: NonNull<u64> = address.cast();
        // SAFETY: the block has room for a word and is aligned to one.
        unsafe { address.write(tag) };
        Aligned { address }
    }

    /// Checks the tag and frees the block.
    #[inline(always)]
    pub(super) fn free(self, tag: u64) {
        // SAFETY: the first word was written when the block was allocated.
        let found = unsafe { self.address.read() };
        tag::check(self.address, found, tag);
        // SAFETY: the block was allocated with this layout, and `self` is consumed: nothing uses it any more.
        unsafe { alloc::dealloc(self.address.as_ptr().cast(), Self::LAYOUT) };
    }
}

/// A block of `8 * N` bytes, a constant size, all written.
pub(super) type Words<const N: usize> = Box<[u64; N]>;

/// Allocates and writes.
#[inline(always)]
pub(super) fn words<const N: usize>(tag: u64) -> Words<N> {
    Box::new([tag; N])
}

/// Checks and frees.
#[inline(always)]
pub(super) fn free_words<const N: usize>(block: Words<N>, tag: u64) {
    let (first, last) = (block[0], block[N - 1]);
    // One branch for both.
    if (first ^ tag) | (last ^ tag) != 0 {
        tag::check(NonNull::from(&block[0]), if first == tag { last } else { first }, tag);
    }
    drop(block);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_grow_and_keep_their_tag() {
        let mut block = Block::new(8, 7);
        for size in [9, 4096, 4097, 100_000] {
            block = block.grow(size, 7, Written::Pages);
            assert_eq!(block.size(), size);
        }
        block.free(7);
    }

    #[test]
    fn an_alignment_may_exceed_the_size() {
        let blocks = [1, 2, 3].map(Aligned::<64, 8192>::new);
        blocks.into_iter().zip(1..).for_each(|(block, tag)| block.free(tag));
    }

    #[test]
    #[should_panic(expected = "was changed while it was in use")]
    fn a_changed_block_is_noticed() {
        Block::new(16, 1).free(2);
    }
}
