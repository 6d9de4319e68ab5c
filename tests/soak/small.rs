//! Blocks of all kinds, most of them small, in sixteen threads that pass them on, each block with a pattern that is checked:
//! as it is, with faults injected into the system calls, and under a limit of address space. What fails reports `ENOMEM`;
//! nothing is lost, nothing is written to by two.

use crate::address_space::limit_address_space;
use crate::faults::{FAULTS, REFUSED};
use crate::rerun::isolated;
use crate::{Random, heap, large_blocks, seconds};
use libc::{ENOMEM, c_void};
use std::ptr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const THREADS: usize = 16;

/// Blocks that a thread holds.
const HELD: usize = 200;

/// Places where threads leave blocks for each other.
static SHARED: [AtomicPtr<Header>; 256] = [const { AtomicPtr::new(ptr::null_mut()) }; 256];
static STOP: AtomicBool = AtomicBool::new(false);

/// What each block begins with; the rest of it is filled with `seed`.
#[repr(C)]
struct Header {
    size: usize,
    address: usize,
    seed: u64,
}

impl Random {
    /// Mostly small, at times of every kind.
    fn size(&mut self) -> usize {
        let most = match self.below(1000) {
            0 => 6 << 20,
            1..20 => 300_000,
            20..100 => 20_000,
            _ => 900,
        };
        size_of::<Header>() + self.below(most)
    }
}

/// Marks a block as one of `size` bytes, all of them written.
unsafe fn fill(block: *mut c_void, size: usize, seed: u64) -> *mut Header {
    // SAFETY: the block has `size` bytes, enough for the header.
    unsafe {
        block.cast::<u8>().write_bytes(seed as u8, size);
        block.cast::<Header>().write(Header { size, address: block.addr(), seed });
    }
    block.cast()
}

/// Whether the first `size` bytes are what `fill` wrote to the block when it was at `address`.
unsafe fn check(block: *const Header, size: usize, address: usize) {
    // SAFETY: the block is the caller's.
    unsafe {
        assert_eq!((*block).address, address, "another block's header");
        let rest = std::slice::from_raw_parts(block.add(1).cast::<u8>(), size - size_of::<Header>());
        let seed = (*block).seed as u8;
        assert!(rest.iter().all(|&byte| byte == seed), "a block of {size} bytes was written to");
    }
}

unsafe fn check_and_free(block: *mut Header) {
    if !block.is_null() {
        // SAFETY: whoever has the pointer has the block.
        unsafe {
            check(block, (*block).size, block.addr());
            libc::free(block.cast());
        }
    }
}

/// A new block, or null and `ENOMEM`.
fn allocate(random: &mut Random) -> *mut Header {
    let (size, seed) = (random.size(), random.0);
    // SAFETY: what is allocated is filled within its size.
    unsafe {
        *libc::__errno_location() = 0;
        let block = match random.below(10) {
            0 => libc::calloc(1, size),
            1 => libc::memalign(1 << random.below(14), size),
            _ => libc::malloc(size),
        };
        if block.is_null() {
            assert_eq!(*libc::__errno_location(), ENOMEM);
            return ptr::null_mut();
        }
        fill(block, size, seed)
    }
}

/// The same block with another size; the old one where there is no memory.
unsafe fn resize(block: *mut Header, random: &mut Random) -> *mut Header {
    let (size, seed) = (random.size(), random.0);
    // SAFETY: the caller's block; the result is filled within its size.
    unsafe {
        let (old, address) = ((*block).size, block.addr());
        let new = libc::realloc(block.cast(), size).cast::<Header>();
        if new.is_null() {
            assert_eq!(*libc::__errno_location(), ENOMEM);
            check(block, old, address);
            return block;
        }
        check(new, old.min(size), address);
        fill(new.cast(), size, seed)
    }
}

/// One thread's work: nothing in it allocates but what is tested.
fn work(number: usize) -> (u64, u64) {
    let mut random = Random(number as u64 + 1);
    let mut held = [ptr::null_mut::<Header>(); HELD];
    let (mut operations, mut refused) = (0, 0);
    // However slow the machine is, some are done.
    while !STOP.load(Ordering::Relaxed) || operations < 5000 {
        for _ in 0..1000 {
            let place = &mut held[random.below(HELD)];
            // SAFETY: a block is in one place at a time.
            unsafe {
                if place.is_null() {
                    *place = allocate(&mut random);
                    refused += u64::from(place.is_null());
                } else {
                    match random.below(4) {
                        0 => *place = resize(*place, &mut random),
                        1 => *place = SHARED[random.below(SHARED.len())].swap(*place, Ordering::AcqRel),
                        _ => check_and_free(std::mem::replace(place, ptr::null_mut())),
                    }
                }
            }
            operations += 1;
        }
    }
    for block in held {
        // SAFETY: the thread's own.
        unsafe { check_and_free(block) };
    }
    (operations, refused)
}

/// Lets the threads work, with one fault in so many system calls, and looks at what is left.
fn soak(one_in: u32) -> (u64, u64) {
    let seconds = seconds();
    let before = large_blocks();
    let start = Barrier::new(THREADS + 1);
    let done = thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|number| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    work(number)
                })
            })
            .collect();
        start.wait();
        // Now that no thread needs a stack any more.
        FAULTS.store(one_in, Ordering::Relaxed);
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
        FAULTS.store(0, Ordering::Relaxed);
        STOP.store(true, Ordering::Relaxed);
        let done = workers.into_iter().map(|worker| worker.join().expect("no thread fails"));
        done.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    });
    for place in &SHARED {
        // SAFETY: what is there is nobody's else.
        unsafe { check_and_free(place.swap(ptr::null_mut(), Ordering::AcqRel)) };
    }
    // All threads are gone, and with them what they kept: what is left is this program's own.
    heap::Heap::purge();
    // SAFETY: the function fills a struct.
    let info = unsafe { libc::mallinfo2() };
    assert!(info.uordblks < 4 << 20, "{} bytes are lost", info.uordblks);
    assert_eq!(large_blocks(), before, "blocks and bytes are lost");
    println!(
        "{} operations, {} refused; {} calls of the system refused",
        done.0,
        done.1,
        REFUSED.load(Ordering::Relaxed)
    );
    done
}

#[test]
fn as_it_is() {
    isolated("as_it_is", || {
        let (operations, refused) = soak(0);
        assert!(operations >= 80_000 && refused == 0, "{operations} {refused}");
    });
}

#[test]
fn with_faults() {
    isolated("with_faults", || {
        let (operations, _) = soak(3);
        assert!(operations >= 80_000 && REFUSED.load(Ordering::Relaxed) > 100, "{operations}");
    });
}

#[test]
fn where_every_call_fails() {
    isolated("where_every_call_fails", || {
        let (operations, refused) = soak(1);
        assert!(operations >= 80_000 && refused > 100, "{operations} {refused}");
    });
}

#[test]
fn under_a_limit() {
    isolated("under_a_limit", || {
        // The stacks of the threads take 32 MiB of it.
        limit_address_space(70 << 20);
        let (operations, refused) = soak(0);
        assert!(operations >= 80_000 && refused > 0, "{operations} {refused}");
    });
}
