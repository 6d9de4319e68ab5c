//! What the line says of an address.

use crate::other::Other;
use crate::{Heap, PAGE, alloc, crashes, free, protect, write};
use std::alloc::{GlobalAlloc as _, Layout};
use std::ptr;

#[test]
fn null() {
    crashes("null", || write(ptr::null_mut()), libc::SIGSEGV, "address 0x000000000000, null or close to it, ");
}

#[test]
fn a_field_of_null() {
    let line = "address 0x000000000148, null or close to it, ";
    crashes("a_field_of_null", || write(ptr::without_provenance_mut(0x148)), libc::SIGSEGV, line);
}

fn unmapped() -> *mut u8 {
    // SAFETY: a fresh mapping, which nobody else knows.
    unsafe {
        let page = libc::mmap(ptr::null_mut(), PAGE, libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
        libc::munmap(page, PAGE);
        page.cast()
    }
}

#[test]
fn a_wild_pointer() {
    crashes("a_wild_pointer", || write(unmapped()), libc::SIGSEGV, ", in no heap, ");
}

#[test]
fn what_is_no_address() {
    let wild = || write(ptr::without_provenance_mut(0xDEAD_BEEF_DEAD_BEEF));
    crashes("what_is_no_address", wild, libc::SIGSEGV, "no valid address, ");
}

#[test]
fn a_pointer_out_of_a_quarantined_block() {
    let body = || {
        let block = alloc(4000);
        // SAFETY: the block has room for a pointer, at an aligned place. To read it after the free is the mistake.
        unsafe {
            *block.add(64).cast::<*mut u8>() = block;
            free(block, 4000);
            write(block.add(64).cast::<*mut u8>().read_volatile());
        }
    };
    let line = "no valid address: read from a freed block in quarantine, ";
    crashes("a_pointer_out_of_a_quarantined_block", body, libc::SIGSEGV, line);
}

#[test]
fn a_live_block() {
    let body = || {
        let block = alloc(1024);
        protect(block, libc::PROT_NONE);
        write(block.wrapping_add(20));
    };
    crashes("a_live_block", body, libc::SIGSEGV, ", in Heap: a live or cached block of class 1024, offset 20, ");
}

/// The other allocator of the program.
#[test]
fn a_block_of_another_allocator() {
    let body = || {
        let layout = Layout::new::<[u8; 4096]>();
        // SAFETY: the layout is not empty.
        let block = unsafe { Other.alloc(layout) };
        protect(block, libc::PROT_NONE);
        write(block.wrapping_add(9));
    };
    let line = ", in Other: a live or cached block of class 4096, offset 9, ";
    crashes("a_block_of_another_allocator", body, libc::SIGSEGV, line);
}

/// Blocks of a class, in one slab: the first ones stay.
fn blocks(size: usize) -> Vec<*mut u8> {
    let mut blocks: Vec<*mut u8> = (0..40).map(|_| alloc(size)).collect();
    blocks.sort();
    blocks
}

#[test]
fn a_free_block() {
    let body = || {
        let blocks = blocks(4096);
        free(blocks[5], 4096);
        Heap::purge();
        protect(blocks[5], libc::PROT_NONE);
        write(blocks[5].wrapping_add(100));
    };
    crashes("a_free_block", body, libc::SIGSEGV, ", in Heap: a free block of class 4096, offset 100, ");
}

#[test]
fn a_quarantined_block() {
    let body = || {
        let blocks = blocks(4096);
        free(blocks[5], 4096);
        protect(blocks[5], libc::PROT_READ);
        write(blocks[5].wrapping_add(100));
    };
    crashes("a_quarantined_block", body, libc::SIGSEGV, ", in Heap: a quarantined block of class 4096, offset 100, ");
}

#[test]
fn a_block_whose_header_says_that_it_is_live() {
    let body = || {
        let block = blocks(8000)[5];
        protect(block.wrapping_add(PAGE), libc::PROT_NONE);
        write(block.wrapping_add(PAGE));
    };
    let line = ", in Heap: a live block of class 8192, offset 4096, ";
    crashes("a_block_whose_header_says_that_it_is_live", body, libc::SIGSEGV, line);
}

#[test]
fn a_block_whose_header_says_that_it_is_freed() {
    let body = || {
        let block = blocks(8000)[5];
        free(block, 8000);
        protect(block.wrapping_add(PAGE), libc::PROT_NONE);
        write(block.wrapping_add(PAGE));
    };
    let line = ", in Heap: a freed block of class 8192, offset 4096, ";
    crashes("a_block_whose_header_says_that_it_is_freed", body, libc::SIGSEGV, line);
}

/// A slab of 64 KiB has 16 such blocks, and what was refilled was carved.
#[test]
fn a_block_never_allocated() {
    let body = || {
        let block = alloc(4096);
        let last = block.map_addr(|address| address | 0xF000);
        assert_ne!(block, last);
        protect(last, libc::PROT_NONE);
        write(last.wrapping_add(8));
    };
    crashes(
        "a_block_never_allocated",
        body,
        libc::SIGSEGV,
        ", in Heap: a never allocated block of class 4096, offset 8, ",
    );
}

/// Address space that the allocator has reserved but not taken into use.
#[test]
fn memory_not_in_use() {
    let body = || {
        let (mut page, step) = (alloc(64).map_addr(|address| address & !(PAGE - 1)), 2 << 20);
        while Heap::owns(page.wrapping_add(step)) {
            page = page.wrapping_add(step);
        }
        write(page);
    };
    crashes("memory_not_in_use", body, libc::SIGSEGV, ", in Heap: a slab that is not in use, ");
}

#[test]
fn a_large_block() {
    let body = || {
        let block = alloc(1 << 20);
        let page = block.map_addr(|address| (address + (1 << 19)) & !(PAGE - 1));
        protect(page, libc::PROT_NONE);
        println!("offset {}!", page.addr() - block.addr());
        write(page);
    };
    let Some(end) = crate::end_with("a_large_block", &[], body) else { return };
    let offset = end.errors.split("offset ").find_map(|rest| rest.split_once('!')).expect("it was said").0;
    end.check(libc::SIGSEGV, &format!(" bytes, live, offset {offset}, "));
    end.check(libc::SIGSEGV, ", in Heap: a large block of 10");
}

#[test]
fn a_large_block_that_was_freed() {
    let body = || {
        let block = alloc(1 << 20);
        let page = block.map_addr(|address| (address + (1 << 19)) & !(PAGE - 1));
        protect(page, libc::PROT_NONE);
        free(block, 1 << 20);
        write(page);
    };
    crashes("a_large_block_that_was_freed", body, libc::SIGSEGV, ", in Heap: pages of no large block, ");
}

#[test]
fn a_file_that_became_shorter() {
    let body = || {
        // SAFETY: a file in memory, mapped and made shorter.
        unsafe {
            let file = libc::memfd_create(c"short".as_ptr(), 0);
            libc::ftruncate(file, PAGE as libc::off_t);
            let page = libc::mmap(ptr::null_mut(), PAGE, libc::PROT_WRITE, libc::MAP_SHARED, file, 0);
            libc::ftruncate(file, 0);
            write(page.cast());
        }
    };
    crashes("a_file_that_became_shorter", body, libc::SIGBUS, ", in no heap, ");
}
