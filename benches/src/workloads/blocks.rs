//! Memory that is written when it is allocated and checked when it is freed.
//!
//! Each block has a tag in its first word. If an allocator hands out a block twice, or writes into one, the tag is
//! another when the block is freed.

use std::alloc::{self, Layout, handle_alloc_error};
use std::ptr::NonNull;

use super::growth::Written;

/// A block whose size the compiler does not know, at least 8 bytes.
#[derive(Debug)]
pub(super) struct Block {
    address: NonNull<u64>,
    size: usize,
}

// SAFETY: a block is memory that its holder owns.
unsafe impl Send for Block {}

const PAGE: usize = 4096;

#[inline(always)]
fn layout(size: usize) -> Layout {
    // SAFETY: no size in the workloads comes near `isize::MAX`.
    unsafe { Layout::from_size_align_unchecked(size, align_of::<u64>()) }
}

impl Block {
    /// A block of `size` bytes, of which each page is written.
    #[inline(always)]
    pub(super) fn new(size: usize, tag: u64) -> Block {
        // SAFETY: no size is 0.
        let address = unsafe { alloc::alloc(layout(size)) };
        let Some(address) = NonNull::new(address) else { handle_alloc_error(layout(size)) };
        let block = Block { address: address.cast(), size };
        block.write(PAGE, tag);
        block
    }

    /// Writes the tag, the last byte, and a byte of each page from `from` on.
    #[inline(always)]
    fn write(&self, from: usize, tag: u64) {
        let bytes: NonNull<u8> = self.address.cast();
        // SAFETY: within the block, which is ours, aligned to a word and not smaller than one.
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
        // SAFETY: the block is ours and its first word was written.
        let found = unsafe { self.address.read() };
        if found != tag {
            corrupted(self.address, tag, found);
        }
    }

    /// Checks the tag and frees the block.
    #[inline(always)]
    pub(super) fn free(self, tag: u64) {
        self.check(tag);
        // SAFETY: allocated with this layout, and used up here.
        unsafe { alloc::dealloc(self.address.as_ptr().cast(), layout(self.size)) };
    }

    /// The block with `size` bytes, which is more than it had.
    #[inline(always)]
    pub(super) fn grow(self, size: usize, tag: u64, written: Written) -> Block {
        // SAFETY: allocated with this layout; the size is not 0.
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
    if (first ^ tag) | (last ^ tag) != 0 {
        corrupted(NonNull::from(&block[0]), tag, if first == tag { last } else { first });
    }
    drop(block);
}

#[cold]
#[inline(never)]
fn corrupted(address: NonNull<u64>, tag: u64, found: u64) -> ! {
    panic!("the block at {address:?} was changed while it was in use: it holds {found:#x}, not {tag:#x}");
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
    #[should_panic(expected = "was changed while it was in use")]
    fn a_changed_block_is_noticed() {
        Block::new(16, 1).free(2);
    }
}
