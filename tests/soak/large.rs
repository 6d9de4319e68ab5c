//! Large blocks of 4 KiB to 64 MiB in eight threads, which allocate, grow, shrink, clear and free them, beside threads that
//! map and unmap memory of their own: nobody's memory is lost or changed, whatever the kernel refuses.

use crate::address_space::limit_address_space;
use crate::faults::{CALLS, FAULTS, REFUSED};
use crate::rerun::isolated;
use crate::resident::resident;
use crate::{Random, heap, large_blocks, seconds};
use libc::c_void;
use std::ptr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const THREADS: u64 = 8;
const NEIGHBOURS: u64 = 2;

/// Blocks that a thread holds, and their bytes.
const HELD: usize = 24;
const MOST: usize = 160 << 20;

const PAGE: usize = 4096;

static STOP: AtomicBool = AtomicBool::new(false);
static DONE: AtomicU64 = AtomicU64::new(0);
static NULLS: AtomicU64 = AtomicU64::new(0);

/// Memory of which the first word of each page was written.
struct Held {
    address: *mut c_void,
    size: usize,
    seed: usize,
}

impl Held {
    const NONE: Held = Held { address: ptr::null_mut(), size: 0, seed: 0 };

    /// The words of the pages in the first `size` bytes, where the memory was at `before`, and what is in each.
    fn words(&self, size: usize, before: usize) -> impl Iterator<Item = (*mut usize, usize)> {
        let pages = (0..size.saturating_sub(size_of::<usize>() - 1)).step_by(PAGE);
        pages.map(move |at| (self.address.wrapping_byte_add(at).cast(), self.seed ^ before.wrapping_add(at)))
    }

    fn fill(&self) {
        for (word, value) in self.words(self.size, self.address.addr()) {
            // SAFETY: the memory is the caller's, of this size.
            unsafe { word.write_unaligned(value) };
        }
    }

    fn check(&self, size: usize, before: usize) {
        for (word, value) in self.words(size, before) {
            // SAFETY: as in `fill`.
            let found = unsafe { word.read_unaligned() };
            assert_eq!(found, value, "{word:p} of {:p}, {size} bytes", self.address);
        }
    }
}

/// 4 KiB to 64 MiB, each doubling as often as the others.
fn size(random: &mut Random) -> usize {
    let most = PAGE << random.below(15);
    most / 2 + random.below(most / 2) + 1
}

fn allocate(random: &mut Random) -> Held {
    let (size, seed) = (size(random), random.below(1 << 30));
    // SAFETY: no preconditions; the alignment is a power of two.
    let address = unsafe {
        match random.below(4) {
            0 => libc::calloc(1, size),
            1 => libc::memalign(1 << random.below(24), size),
            _ => libc::malloc(size),
        }
    };
    if address.is_null() {
        NULLS.fetch_add(1, Ordering::Relaxed);
        return Held::NONE;
    }
    let held = Held { address, size, seed };
    held.fill();
    held
}

/// A block that was not written to reads as zero.
fn clear(random: &mut Random) {
    let size = size(random).min(4 << 20);
    // SAFETY: the block is as long as is read, and is freed.
    unsafe {
        let block = libc::calloc(size, 1).cast::<u8>();
        if !block.is_null() {
            let bytes = std::slice::from_raw_parts(block, size);
            assert!(bytes.iter().all(|&byte| byte == 0), "{block:p}, {size} bytes");
            libc::free(block.cast());
        }
    }
}

/// The block with another size, or as it was.
fn resize(held: Held, random: &mut Random) -> Held {
    let size = match random.below(4) {
        // More than there is.
        0 => 200 << 30,
        _ => size(random),
    };
    let before = held.address.addr();
    // SAFETY: the block is the caller's.
    let address = unsafe { libc::realloc(held.address, size) };
    if address.is_null() {
        NULLS.fetch_add(1, Ordering::Relaxed);
        held.check(held.size, before);
        return held;
    }
    let moved = Held { address, size, ..held };
    moved.check(held.size.min(size), before);
    if size > 1 << 30 {
        // The system lends it; nobody wants to write to it.
        let back = Held { size: held.size, ..moved };
        back.fill();
        return back;
    }
    moved.fill();
    moved
}

fn free(held: Held) {
    held.check(held.size, held.address.addr());
    // SAFETY: the block is the caller's.
    unsafe { libc::free(held.address) };
}

fn work(number: u64) {
    let mut random = Random(number + 1);
    let mut all = [Held::NONE; HELD];
    let mut bytes = 0;
    while !STOP.load(Ordering::Relaxed) {
        let place = &mut all[random.below(HELD)];
        let held = std::mem::replace(place, Held::NONE);
        bytes -= held.size;
        *place = match random.below(4) {
            _ if held.address.is_null() && bytes < MOST => allocate(&mut random),
            _ if held.address.is_null() => Held::NONE,
            0 => {
                clear(&mut random);
                held
            }
            1 if bytes < MOST => resize(held, &mut random),
            _ => {
                free(held);
                Held::NONE
            }
        };
        bytes += place.size;
        DONE.fetch_add(1, Ordering::Relaxed);
    }
    all.into_iter().filter(|held| !held.address.is_null()).for_each(free);
}

/// Maps memory, which stays what it is until it is unmapped.
fn neighbour(number: u64) {
    let mut random = Random(number + 100);
    while !STOP.load(Ordering::Relaxed) {
        let size = size(&mut random).next_multiple_of(PAGE);
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping.
        let address = unsafe { libc::mmap(ptr::null_mut(), size, access, flags, -1, 0) };
        if address == libc::MAP_FAILED {
            continue;
        }
        let held = Held { address, size, seed: number as usize };
        held.fill();
        thread::yield_now();
        held.check(size, address.addr());
        // SAFETY: the mapping is this thread's.
        while unsafe { libc::munmap(address, size) } != 0 {}
    }
}

/// More refused calls are a test.
const FEW: u64 = 10;

/// Lets all of them work, with one fault in so many system calls.
fn stress(one_in: u32) {
    let before = large_blocks();
    let start = &Barrier::new((THREADS + NEIGHBOURS) as usize + 1);
    thread::scope(|scope| {
        for number in 0..THREADS + NEIGHBOURS {
            scope.spawn(move || {
                start.wait();
                if number < THREADS { work(number) } else { neighbour(number) }
            });
        }
        start.wait();
        // Now that no thread needs a stack any more.
        FAULTS.store(one_in, Ordering::Relaxed);
        let end = Instant::now() + Duration::from_secs(seconds());
        // A machine that has no time for the threads lets them make few calls until then.
        while Instant::now() < end || one_in > 0 && REFUSED.load(Ordering::Relaxed) <= FEW {
            thread::sleep(Duration::from_millis(10));
        }
        FAULTS.store(0, Ordering::Relaxed);
        STOP.store(true, Ordering::Relaxed);
    });
    heap::Heap::purge();
    println!(
        "{} operations, {} nulls, {} calls of the system refused, {} KiB resident",
        DONE.load(Ordering::Relaxed),
        NULLS.load(Ordering::Relaxed),
        REFUSED.load(Ordering::Relaxed),
        resident() >> 10,
    );
    assert_eq!(large_blocks(), before, "blocks and bytes are lost");
    assert!(resident() < 40 << 20, "{} bytes are resident with nothing in use", resident());
}

#[test]
fn as_it_is() {
    isolated("as_it_is", || stress(0));
}

#[test]
fn with_faults() {
    isolated("with_faults", || {
        stress(5);
        assert!(REFUSED.load(Ordering::Relaxed) > FEW);
    });
}

#[test]
fn where_every_call_fails() {
    isolated("where_every_call_fails", || stress(1));
}

#[test]
fn under_a_limit() {
    isolated("under_a_limit", || {
        limit_address_space(400 << 20);
        stress(0);
        assert!(NULLS.load(Ordering::Relaxed) > 0);
        // Nothing is in use, so there is room for a thread.
        thread::spawn(|| ()).join().expect("the thread ends well");
    });
}

/// Buffers that come and go, so many at a time, each page written.
fn buffers(count: usize, alive: usize, (least, most): (usize, usize)) {
    let mut random = Random(1);
    let mut all: Vec<Held> = (0..alive).map(|_| Held::NONE).collect();
    for turn in 0..count {
        let size = least + random.below(most - least + 1);
        // SAFETY: the old one is this function's.
        let address = unsafe {
            libc::free(all[turn % alive].address);
            if turn % 2 == 0 { libc::calloc(1, size) } else { libc::malloc(size) }
        };
        all[turn % alive] = Held { address, size, seed: turn };
        all[turn % alive].fill();
    }
    all.into_iter().for_each(free);
}

#[test]
fn buffers_that_come_and_go_need_few_calls_of_the_system() {
    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;
    const COUNT: usize = 600;
    isolated("buffers_that_come_and_go_need_few_calls_of_the_system", || {
        for (alive, lengths) in [
            (1, (300 * KIB, 300 * KIB)),
            (1, (16 * MIB, 16 * MIB)),
            (8, (300 * KIB, 1200 * KIB)),
            (8, (MIB, 8 * MIB)),
            (100, (300 * KIB, 300 * KIB)),
            (30, (5 * MIB, 5 * MIB)),
        ] {
            buffers(COUNT / 4, alive, lengths);
            let calls = (0..3).map(|_| {
                let before = CALLS.load(Ordering::Relaxed);
                buffers(COUNT, alive, lengths);
                CALLS.load(Ordering::Relaxed) - before
            });
            // The least of three, as what is not used for a while goes back, and the machine may be busy.
            let least = calls.min().expect("three times");
            assert!(least < COUNT as u32 / 4, "{least} calls for {COUNT} buffers of {lengths:?}, {alive} at a time");
        }
    });
}
