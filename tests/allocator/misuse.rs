//! Misuse that the slow paths notice ends the program with one line on standard error, and by `abort`.

use crate::blocks::layout;
use crate::dies::dies;
use std::alloc::GlobalAlloc;

hakmem::allocator! {
    pub(crate) struct Heap;
}

mod listed {
    hakmem::allocator! {
        pub(crate) struct Heap {
            [defaults]
            layers = ["unified", "sll"]

            [[class]]
            sizes = [64, 1024]
        }
    }
}

mod quarantined {
    hakmem::allocator! {
        pub(crate) struct Heap {
            [defaults]
            layers = ["quarantine", "sll"]

            [[class]]
            sizes = [64, 1024]
        }
    }
}

/// Frees as many blocks of `allocated` bytes as blocks of `freed` bytes as it takes for some to reach their slabs.
fn free_as(allocated: usize, freed: usize) {
    // SAFETY: none. This is the misuse; the process ends before anybody uses what it spoils.
    unsafe {
        let blocks: Vec<*mut u8> = (0..10_000).map(|_| Heap.alloc(layout(allocated))).collect();
        for block in blocks {
            Heap.dealloc(block, layout(freed));
        }
        Heap::purge();
    }
}

const OTHER_SIZE: &str = "sized deallocation mismatch";
const NOT_LARGE: &str = "invalid free: not a large block";

#[test]
fn a_larger_class() {
    dies("a_larger_class", || free_as(64, 128), OTHER_SIZE);
}

#[test]
fn a_smaller_class() {
    dies("a_smaller_class", || free_as(1000, 10), OTHER_SIZE);
}

#[test]
fn few_blocks_are_noticed_at_a_purge() {
    let body = || {
        // SAFETY: none, as above.
        unsafe {
            let block = listed::Heap.alloc(layout(48));
            listed::Heap.dealloc(block, layout(480));
            listed::Heap::purge();
        }
    };
    dies("few_blocks_are_noticed_at_a_purge", body, OTHER_SIZE);
}

/// `pages` goes by the slab of a block, not by the size that a free names: a block of the thread's own slab gets back to it whatever
/// that is.
#[test]
fn the_wrong_small_size_does_no_harm_under_pages() {
    let own = std::thread::spawn(|| {
        let blocks: Vec<usize> = (0..100)
            .map(|round| {
                // SAFETY: the block is freed once, though with another size than it was allocated with.
                unsafe {
                    let block = Heap.alloc(layout(48));
                    block.write_bytes(round, 48);
                    Heap.dealloc(block, layout(480));
                    let large = Heap.alloc(layout(480));
                    assert!(!large.is_null() && large != block, "a block of 48 bytes does not serve 480");
                    large.write_bytes(round, 480);
                    Heap.dealloc(large, layout(480));
                    block.addr()
                }
            })
            .collect();
        Heap::purge();
        blocks.len()
    });
    assert_eq!(own.join().expect("nothing is noticed"), 100);
}

#[test]
fn a_small_block_as_a_large_one() {
    dies("a_small_block_as_a_large_one", || free_as(64, 1 << 20), NOT_LARGE);
}

#[test]
fn a_large_block_of_nobody() {
    let body = || {
        let mut on_the_stack = [0_u8; 100];
        // SAFETY: none, as above.
        unsafe { Heap.dealloc(on_the_stack.as_mut_ptr(), layout(1 << 20)) };
    };
    dies("a_large_block_of_nobody", body, NOT_LARGE);
}

#[test]
fn the_middle_of_a_large_block() {
    let body = || {
        // SAFETY: none, as above.
        unsafe {
            let block = Heap.alloc(layout(8 << 20));
            Heap.dealloc(block.add(4 << 20), layout(4 << 20));
        }
    };
    dies("the_middle_of_a_large_block", body, NOT_LARGE);
}

#[test]
fn a_large_block_of_another_allocator() {
    let body = || {
        // SAFETY: none, as above.
        unsafe {
            let block = libc::malloc(1 << 20);
            Heap.dealloc(block.cast(), layout(1 << 20));
        }
    };
    dies("a_large_block_of_another_allocator", body, NOT_LARGE);
}

#[test]
fn realloc_of_a_large_block_of_nobody() {
    let body = || {
        let mut on_the_stack = [0_u8; 100];
        // SAFETY: none, as above.
        unsafe { Heap.realloc(on_the_stack.as_mut_ptr(), layout(1 << 20), 2 << 20) };
    };
    dies("realloc_of_a_large_block_of_nobody", body, "invalid realloc: not a large block");
}

#[test]
fn a_huge_block_freed_twice() {
    let body = || {
        // SAFETY: none, as above. More than the cache keeps, so that the first free unmaps it.
        unsafe {
            let block = Heap.alloc(layout(200 << 20));
            Heap.dealloc(block, layout(200 << 20));
            Heap.dealloc(block, layout(200 << 20));
        }
    };
    dies("a_huge_block_freed_twice", body, NOT_LARGE);
}

#[test]
fn a_kept_large_block_freed_twice() {
    let body = || {
        // SAFETY: none, as above. Little enough for the cache to keep.
        unsafe {
            let block = Heap.alloc(layout(1 << 20));
            Heap.dealloc(block, layout(1 << 20));
            Heap.dealloc(block, layout(1 << 20));
        }
    };
    dies("a_kept_large_block_freed_twice", body, NOT_LARGE);
}

#[test]
fn a_small_block_freed_twice_after_its_slab_went_back() {
    let body = || {
        // SAFETY: none, as above.
        unsafe {
            let block = Heap.alloc(layout(100));
            Heap.dealloc(block, layout(100));
            Heap::purge();
            Heap.dealloc(block, layout(100));
            Heap::purge();
        }
    };
    dies("a_small_block_freed_twice_after_its_slab_went_back", body, "invalid free: already freed, or never allocated");
}

/// The second block keeps the slab in use, so that the slab's bitmap is what sees the second free.
#[test]
fn a_small_block_freed_twice_in_a_slab_in_use() {
    let body = || {
        // SAFETY: none, as above.
        unsafe {
            let blocks = [listed::Heap.alloc(layout(64)), listed::Heap.alloc(layout(64))];
            listed::Heap.dealloc(blocks[0], layout(64));
            listed::Heap::purge();
            listed::Heap.dealloc(blocks[0], layout(64));
            listed::Heap::purge();
            listed::Heap.dealloc(blocks[1], layout(64));
        }
    };
    dies("a_small_block_freed_twice_in_a_slab_in_use", body, "double free");
}

#[test]
fn the_middle_of_a_small_block() {
    let body = || {
        // SAFETY: none, as above.
        unsafe {
            let block = listed::Heap.alloc(layout(64));
            listed::Heap.dealloc(block.add(16), layout(64));
            listed::Heap::purge();
        }
    };
    dies("the_middle_of_a_small_block", body, "invalid free: not the start of a block");
}

/// Frees a block and writes a byte of it, then does what ends its wait.
fn written_to_after_its_free(byte: usize, ends_its_wait: impl FnOnce()) {
    // SAFETY: none, as above. Blocks that wait are not touched by anybody else.
    unsafe {
        let block = quarantined::Heap.alloc(layout(1024));
        block.write_bytes(7, 1024);
        quarantined::Heap.dealloc(block, layout(1024));
        assert_eq!(block.read(), 0xF5, "who reads it sees the pattern");
        block.add(byte).write(1);
    }
    ends_its_wait();
}

const WRITTEN: &str = "write after free";

#[test]
fn the_first_byte_of_a_waiting_block() {
    let others = || {
        // SAFETY: a block with its own layout.
        (0..16).for_each(|_| unsafe { quarantined::Heap.dealloc(quarantined::Heap.alloc(layout(1024)), layout(1024)) });
    };
    dies("the_first_byte_of_a_waiting_block", || written_to_after_its_free(0, others), WRITTEN);
}

#[test]
fn the_last_byte_of_a_waiting_block() {
    let body = || written_to_after_its_free(1023, quarantined::Heap::purge);
    dies("the_last_byte_of_a_waiting_block", body, WRITTEN);
}

#[test]
fn a_waiting_block_when_its_thread_ends() {
    let body = || {
        let thread = std::thread::spawn(|| written_to_after_its_free(500, || {}));
        thread.join().expect("the process ends");
    };
    dies("a_waiting_block_when_its_thread_ends", body, WRITTEN);
}

#[test]
fn a_waiting_block_freed_twice() {
    let body = || {
        // SAFETY: none, as above.
        unsafe {
            let blocks: Vec<*mut u8> = (0..8).map(|_| quarantined::Heap.alloc(layout(64))).collect();
            for &block in &blocks {
                quarantined::Heap.dealloc(block, layout(64));
            }
            quarantined::Heap.dealloc(blocks[3], layout(64));
        }
    };
    dies("a_waiting_block_freed_twice", body, "double free");
}
