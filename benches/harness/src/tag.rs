//! Tags in blocks: a number, different from that of all other live blocks, is written into a block when it is allocated
//! and compared when it is freed. It differs then if an allocator has handed out the block twice, or written into it.

use std::ptr::NonNull;

/// Panics if a block holds another tag than was written.
#[inline(always)]
pub fn check(block: NonNull<u64>, found: u64, written: u64) {
    if found != written {
        corrupted(block, found, written);
    }
}

#[cold]
#[inline(never)]
fn corrupted(block: NonNull<u64>, found: u64, written: u64) -> ! {
    panic!("the block at {block:?} was changed while it was in use: it holds {found:#x}, not {written:#x}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "was changed while it was in use: it holds 0x2, not 0x1")]
    fn another_tag_is_noticed() {
        check(NonNull::dangling(), 1, 1);
        check(NonNull::dangling(), 2, 1);
    }
}
