//! A large block's pages are moved, and the kernel refuses half-way: nothing is lost, and later blocks are moved again.

use crate::blocks::{KIB, MIB, layout, subjects};
use crate::faults::ORDERS;
use crate::rerun::isolated;
use std::alloc::GlobalAlloc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// The default spec without its thread.
mod plain {
    hakmem::allocator! {
        pub(super) struct Heap = "tests/slow_path_purge.toml";
    }
}

subjects!(plain::Heap);

/// How long a thing that must happen may take, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(20);

/// A block whose words are their own offsets.
struct Block {
    address: *mut u8,
    size: usize,
}

const STEP: usize = 4 * KIB;

impl Block {
    fn new(size: usize) -> Block {
        // SAFETY: the size is not 0.
        let address = unsafe { plain::Heap.alloc(layout(size)) };
        assert!(!address.is_null());
        let block = Block { address, size };
        block.each(|word, at| *word = at);
        block
    }

    fn each(&self, mut work: impl FnMut(&mut usize, usize)) {
        for at in (0..self.size).step_by(STEP) {
            // SAFETY: a word of the block, which is ours and aligned.
            work(unsafe { &mut *self.address.add(at).cast() }, at);
        }
    }

    fn check(&self) {
        self.each(|word, at| assert_eq!(*word, at));
    }

    fn resize(&mut self, size: usize) {
        // SAFETY: the block is ours, of this layout.
        let address = unsafe { plain::Heap.realloc(self.address, layout(self.size), size) };
        assert!(!address.is_null());
        self.address = address;
        self.size = self.size.min(size);
        self.check();
        self.size = size;
        self.each(|word, at| *word = at);
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.check();
        // SAFETY: the block is ours, of this layout.
        unsafe { plain::Heap.dealloc(self.address, layout(self.size)) };
    }
}

/// KiB that are mapped, and resident.
fn memory() -> [usize; 2] {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("proc is mounted");
    let mut pages = statm.split(' ').map(|number| number.parse::<usize>().expect("a number"));
    [(); 2].map(|()| pages.next().unwrap_or(0) * 4)
}

/// Purges until no more memory is left than there was before, and little more address space.
fn comes_back([mapped, resident]: [usize; 2]) {
    let start = Instant::now();
    loop {
        plain::Heap::purge();
        let now = memory();
        if now[0] <= mapped + 4096 && now[1] <= resident + 1024 {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{now:?} KiB are left of {:?}", [mapped, resident]);
        thread::sleep(Duration::from_millis(5));
    }
}

/// Moves a block that cannot grow in place, with what follows it in use.
fn grow(size: usize) {
    let (mut block, _neighbour) = (Block::new(size), Block::new(size));
    block.resize(size + size / 2);
}

/// What is there before: the thread's heap, and a segment that small blocks share.
fn begin() -> (Block, [usize; 2]) {
    let first = Block::new(300 * KIB);
    grow(MIB);
    plain::Heap::purge();
    (first, memory())
}

fn refuse_a_move(half_done: bool) {
    ORDERS.half_done.store(half_done, Ordering::SeqCst);
    ORDERS.moves.store(1, Ordering::SeqCst);
}

fn moved() -> u32 {
    ORDERS.moved.load(Ordering::SeqCst)
}

/// Blocks that grow are moved again some time after a move was refused.
fn moves_go_on() {
    let (start, before) = (Instant::now(), moved());
    while moved() == before {
        assert!(start.elapsed() < PATIENCE, "no block is moved any more");
        grow(40 * MIB);
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn after_a_move_that_unmapped_its_target_blocks_move_again() {
    isolated("after_a_move_that_unmapped_its_target_blocks_move_again", || {
        let (_first, before) = begin();
        refuse_a_move(true);
        grow(40 * MIB);
        assert_eq!(ORDERS.moves.load(Ordering::SeqCst), 0, "a move was refused");
        moves_go_on();
        comes_back(before);
    });
}

/// The place that a block would have been moved to cannot be told from somebody else's memory, unless something was in it.
#[test]
fn after_a_move_that_did_nothing_blocks_move_again() {
    isolated("after_a_move_that_did_nothing_blocks_move_again", || {
        let (_first, [mapped, resident]) = begin();
        refuse_a_move(false);
        grow(40 * MIB);
        assert_eq!(ORDERS.moves.load(Ordering::SeqCst), 0, "a move was refused");
        moves_go_on();
        comes_back([mapped + (200 << 10), resident]);
    });
}

/// By what is in it, a place that was resident is known to be ours.
#[test]
fn a_resident_place_to_which_nothing_was_moved_is_used_again() {
    isolated("a_resident_place_to_which_nothing_was_moved_is_used_again", || {
        let (_first, before) = begin();
        let resident = Block::new(150 * MIB);
        let (mut block, neighbour) = (Block::new(40 * MIB), Block::new(40 * MIB));
        // As much may stay resident as is in use.
        let in_use = Block::new(150 * MIB);
        drop(resident);
        refuse_a_move(false);
        block.resize(60 * MIB);
        assert_eq!(ORDERS.moves.load(Ordering::SeqCst), 0, "a move was refused");
        drop((block, neighbour, in_use));
        comes_back(before);
    });
}

#[test]
fn pages_that_can_neither_be_unmapped_nor_given_back_are_tried_again() {
    isolated("pages_that_can_neither_be_unmapped_nor_given_back_are_tried_again", || {
        let (_first, before) = begin();
        refuse_a_move(true);
        ORDERS.keep.store(true, Ordering::SeqCst);
        grow(40 * MIB);
        assert_eq!(ORDERS.moves.load(Ordering::SeqCst), 0, "a move was refused");
        plain::Heap::purge();
        assert!(memory()[1] > before[1] + (40 << 10), "pages stay");
        ORDERS.keep.store(false, Ordering::SeqCst);
        comes_back(before);
    });
}
