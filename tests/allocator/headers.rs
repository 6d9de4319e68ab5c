//! `header = "region-id"`: every layout keeps its promise, and a free that is wrong ends the program at once, with one line
//! that names the pointer, the class expected and the class found.

use crate::blocks::{Piece, Subject, blocks_live, layout, slabs, subjects};
use crate::dies::last_line;
use std::alloc::{GlobalAlloc, Layout};
use std::collections::VecDeque;
use std::ptr;

mod all {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            header = "region-id"

            [[class]]
            sizes = { from = 16, to = 512, step = 16 }

            [[class]]
            sizes = { from = 640, to = "8 KiB", steps_per_doubling = 4 }
        }
    }
}

/// With other classes between those with headers, one of which has more than one slab.
mod some {
    hakmem::allocator! {
        pub(super) struct Heap {
            [[class]]
            sizes = [16, 32, 64]

            [[class]]
            sizes = [96, 128, 256]
            header = "region-id"

            [[class]]
            sizes = [512, 1024]

            [[class]]
            sizes = [1536, 2048, 4096]
            layers = ["ring"]
            header = "region-id"

            [[class]]
            size = 8192
            slab_units = 2
            header = "region-id"
        }
    }
}

subjects!(all::Heap, some::Heap);

/// Three blocks of every layout, with the last few dozens around them.
fn every_layout<A: Subject>() {
    let mut window: VecDeque<Piece<A>> = VecDeque::new();
    for align in (0..=12).map(|bit| 1 << bit) {
        for size in 1..=2048 {
            let layout = Layout::from_size_align(size, align).expect("a power of two");
            for number in 0..3 {
                window.push_back(Piece::new(layout, (size + number) as u8 | 1, (size + number) % 5 == 0));
            }
            while window.len() > 40 {
                // The oldest and one from the middle, so that slabs have holes.
                window.pop_front();
                window.remove(window.len() / 2);
            }
        }
    }
    drop(window);
    A::purge();
    assert_eq!((blocks_live::<A>(), slabs::<A>()), (0, 0), "left behind:\n{}", A::stats());
}

#[test]
fn every_layout_is_aligned_and_usable() {
    every_layout::<all::Heap>();
}

#[test]
fn every_layout_is_aligned_and_usable_beside_other_classes() {
    every_layout::<some::Heap>();
}

fn alloc(size: usize) -> *mut u8 {
    // SAFETY: no size in these tests is 0.
    let block = unsafe { all::Heap.alloc(layout(size)) };
    assert!(!block.is_null());
    block
}

fn free(block: *mut u8, size: usize) {
    // SAFETY: none where this is the misuse: the process ends before anybody uses what it spoils.
    unsafe { all::Heap.dealloc(block, layout(size)) };
}

/// A pointer as the line writes it, on standard output, for `dies` to look for.
fn say(pointer: *mut u8) -> *mut u8 {
    println!("@{:#014x}", pointer.addr());
    pointer
}

/// Runs `body`, which never returns if all is well, in a process of its own; and looks at its last words, which must have
/// each of `parts` and the pointer that `body` said.
#[track_caller]
fn dies(test: &str, body: impl FnOnce(), parts: &[&str]) {
    let Some((stdout, line)) = last_line(test, body) else { return };
    let pointer =
        stdout.rsplit_once('@').map(|(_, rest)| rest.lines().next().unwrap_or_default()).expect("it was said");
    assert!(line.starts_with("hakmem: ") && line.contains(&format!("(pointer {pointer}")), "{pointer}: {line}");
    assert!(parts.iter().all(|part| line.contains(part)) && line.ends_with(')'), "{parts:?}: {line}");
}

const TWICE: &str = "hakmem: double free (pointer ";
const NOT_ALLOCATED: &str = "hakmem: invalid free: already freed, or never allocated (pointer ";
const OTHER: &str = "hakmem: sized deallocation mismatch (pointer ";
const LARGE: &str = "hakmem: sized deallocation mismatch: a large block (pointer ";
const FOREIGN: &str = "hakmem: invalid free: not a block of this allocator (pointer ";
const NO_HEADER: &str = "hakmem: invalid free: corrupted or missing header (pointer ";

#[test]
fn a_second_free_is_noticed_at_once() {
    let body = || {
        let block = say(alloc(40));
        free(block, 40);
        free(block, 40);
    };
    dies("a_second_free_is_noticed_at_once", body, &[TWICE, "expected class 48, found class 48, byte 0x5"]);
}

#[test]
fn a_second_free_by_another_thread() {
    let body = || {
        let block = say(alloc(200)).expose_provenance();
        let free_it = move || free(ptr::with_exposed_provenance_mut(block), 200);
        std::thread::spawn(free_it).join().expect("the first free is right");
        free_it();
    };
    dies("a_second_free_by_another_thread", body, &[TWICE, "expected class 208, found class 208"]);
}

#[test]
fn a_second_free_after_the_slab_went_back() {
    let body = || {
        let block = say(alloc(100));
        free(block, 100);
        all::Heap::purge();
        free(block, 100);
    };
    let parts = [NOT_ALLOCATED, "expected class 112, found none, byte 0x00"];
    dies("a_second_free_after_the_slab_went_back", body, &parts);
}

#[test]
fn a_smaller_layout() {
    let body = || free(say(alloc(1000)), 10);
    dies("a_smaller_layout", body, &[OTHER, "expected class 32, found class 1024"]);
}

#[test]
fn a_larger_layout() {
    let body = || free(say(alloc(10)), 2000);
    dies("a_larger_layout", body, &[OTHER, "expected class 2560, found class 32"]);
}

/// The byte has four bits of the class; these two have the same. The slab tells them apart.
#[test]
fn a_layout_of_a_class_with_the_same_byte() {
    let body = || {
        let block = say(alloc(20));
        free(block, 20 + 16 * 16);
        all::Heap::purge();
    };
    dies("a_layout_of_a_class_with_the_same_byte", body, &[OTHER]);
}

#[test]
fn the_middle_of_a_block() {
    let body = || {
        let block = alloc(480);
        // SAFETY: the block has 480 bytes.
        unsafe { ptr::write_bytes(block, 0, 480) };
        free(say(block.wrapping_add(64)), 480);
    };
    dies("the_middle_of_a_block", body, &[NO_HEADER, "expected class 496, found class 496, byte 0x00"]);
}

#[test]
fn a_byte_too_many_was_written_by_the_neighbour() {
    let body = || {
        let (mut low, mut high) = (alloc(40), alloc(40));
        if low > high {
            (low, high) = (high, low);
        }
        assert_eq!(high.addr() - low.addr(), 48);
        // SAFETY: none: the last byte of the class belongs to the header of the block behind.
        unsafe { ptr::write_bytes(low, 0xFF, 48) };
        free(say(high), 40);
    };
    let parts = [NO_HEADER, "expected class 48, found class 48, byte 0xff"];
    dies("a_byte_too_many_was_written_by_the_neighbour", body, &parts);
}

#[test]
fn a_place_on_the_stack() {
    let body = || {
        let mut place = [0_u64; 100];
        free(say((&raw mut place[50]).cast()), 48);
    };
    dies("a_place_on_the_stack", body, &[FOREIGN, "expected class 64, found none"]);
}

#[test]
fn a_block_of_the_system_allocator() {
    let body = || {
        // SAFETY: malloc has no preconditions.
        free(say(unsafe { libc::malloc(300) }.cast()), 300);
    };
    dies("a_block_of_the_system_allocator", body, &[FOREIGN, "expected class 320, found none"]);
}

/// The byte before it looks like the header of an allocated block of its class, by chance: 1 of 256 pointers from elsewhere.
/// It is noticed when the block would go back to a slab.
#[test]
fn a_pointer_from_elsewhere_with_a_byte_that_matches() {
    let body = || {
        let block = lone_page().wrapping_add(64);
        let class_index = all::Heap::CLASSES.iter().position(|class| class.size == 64).expect("there is such a class");
        // SAFETY: the page is this test's.
        unsafe { *block.wrapping_sub(1) = 0xA0 | class_index as u8 };
        free(say(block), 50);
        all::Heap::purge();
    };
    dies("a_pointer_from_elsewhere_with_a_byte_that_matches", body, &[FOREIGN]);
}

fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).expect("a page has a size")
}

/// A page with nothing mapped in front of it, and nothing behind.
fn lone_page() -> *mut u8 {
    let page = page_size();
    // SAFETY: a fresh mapping that nobody else knows; what stays is its middle.
    unsafe {
        let start = libc::mmap(
            ptr::null_mut(),
            3 * page,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(start, libc::MAP_FAILED);
        libc::munmap(start, page);
        libc::munmap(start.wrapping_byte_add(2 * page), page);
        start.wrapping_byte_add(page).cast()
    }
}

#[test]
fn a_page_with_nothing_in_front() {
    dies("a_page_with_nothing_in_front", || free(say(lone_page()), 64), &[FOREIGN, "expected class 80, found none"]);
}

/// In front of a large block there may be nothing either, though it is this allocator's.
#[test]
fn a_large_block_as_a_small_one() {
    let body = || {
        let block = alloc(1 << 20);
        // SAFETY: none: if this page is anybody's, it is nobody's who is needed before the end.
        unsafe { libc::mprotect(block.wrapping_sub(page_size()).cast(), page_size(), libc::PROT_NONE) };
        free(say(block), 64);
    };
    dies("a_large_block_as_a_small_one", body, &[LARGE, "expected class 80, found none"]);
}

/// Address space that the allocator has reserved but not taken into use.
#[test]
fn a_page_of_a_region_that_is_not_in_use() {
    let body = || {
        let block = alloc(64);
        let (mut page, step) = (block.map_addr(|address| address & !4095), 2 << 20);
        while all::Heap::owns(page.wrapping_add(step)) {
            page = page.wrapping_add(step);
        }
        assert!(page.addr() > block.addr());
        free(say(page), 64);
    };
    dies("a_page_of_a_region_that_is_not_in_use", body, &["expected class 80, found none"]);
}

/// The first page of a region, which holds its metadata.
#[test]
fn the_start_of_a_region() {
    let body = || {
        let block = alloc(64);
        let (mut page, step) = (block.map_addr(|address| address & !((2 << 20) - 1)), 2 << 20);
        while all::Heap::owns(page.wrapping_sub(step)) {
            page = page.wrapping_sub(step);
        }
        free(say(page), 64);
    };
    dies("the_start_of_a_region", body, &["expected class 80, found none"]);
}

/// The first byte of a slab, which is no block's: the byte in front of it is another slab's.
#[test]
fn the_start_of_a_slab() {
    let body = || {
        let block = alloc(64);
        free(say(block.map_addr(|address| address & !0xFFFF)), 64);
    };
    dies("the_start_of_a_slab", body, &["expected class 80, found class 80"]);
}
