//! What the kernel sees of large blocks, and where they start: few mappings, nothing left of what was refused, no address
//! shared with others, and starts that spread over the sets of a processor's caches.

use crate::address_space::limit_address_space;
use crate::blocks::{KIB, MIB, Piece, layout, on_a_thread, subjects};
use crate::rerun::isolated;
use crate::resident::resident;
use std::alloc::{GlobalAlloc, Layout};
use std::collections::BTreeSet;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::thread;
use std::time::{Duration, Instant};

hakmem::allocator! {
    /// The default spec without a thread that purges.
    struct Heap = "tests/slow_path_purge.toml";
}

mod huge {
    hakmem::allocator! {
        pub(crate) struct Huge {
            huge_pages = true

            [[class]]
            size = 64
        }
    }
}

use huge::Huge;

subjects!(Heap, Huge);

/// Mappings of this process.
fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").expect("proc is mounted").lines().count()
}

/// So many blocks at a time, none of them touched, and what the number of mappings is then.
fn mappings_of(count: usize, size: usize, align: usize) -> usize {
    let layout = Layout::from_size_align(size, align).expect("a power of two");
    let mut blocks = vec![ptr::null_mut::<u8>(); count];
    for block in &mut blocks {
        // SAFETY: the size is not 0.
        *block = unsafe { Heap.alloc(layout) };
        assert!(!block.is_null() && block.addr().is_multiple_of(align));
    }
    let mappings = mappings();
    for block in blocks {
        // SAFETY: the block is ours, of this layout.
        unsafe { Heap.dealloc(block, layout) };
    }
    mappings
}

#[test]
fn mappings_stay_few() {
    isolated("mappings_stay_few", || {
        for (size, align) in [(16 * KIB, 16 * KIB), (300_000, 8), (5 * MIB, 64)] {
            let count = if size > MIB { 10_000 } else { 100_000 };
            let mappings = mappings_of(count, size, align);
            assert!(mappings < 400, "{count} blocks of {size} bytes at {align}: {mappings} mappings");
            Heap::purge();
        }
    });
}

#[test]
fn mappings_stay_few_where_blocks_grow() {
    isolated("mappings_stay_few_where_blocks_grow", || {
        let before = mappings();
        for (count, size) in [(10_000, 300 * KIB), (6000, 2 * MIB)] {
            let mut blocks = vec![ptr::null_mut::<u8>(); count];
            for block in &mut blocks {
                // SAFETY: the size is not 0, and the block is ours.
                unsafe {
                    *block = Heap.alloc(layout(size));
                    block.write(1);
                }
            }
            for block in &mut blocks {
                // SAFETY: the block is ours, of this layout.
                unsafe {
                    *block = Heap.realloc(*block, layout(size), 2 * size);
                    assert_eq!(block.read(), 1);
                }
            }
            let mappings = mappings();
            // Two for each of 4,096 moves, and those of the segments.
            assert!(mappings < before + 9000, "{count} blocks of {size} bytes that grew: {mappings} mappings");
            for block in blocks {
                // SAFETY: the block is ours, of this layout.
                unsafe { Heap.dealloc(block, layout(2 * size)) };
            }
            Heap::purge();
        }
        assert!(mappings() < before + 100, "{} mappings", mappings());
    });
}

#[test]
fn nobody_takes_the_segment_that_a_thread_has_mapped() {
    isolated("nobody_takes_the_segment_that_a_thread_has_mapped", || {
        thread::scope(|scope| {
            for number in 0..4 {
                scope.spawn(move || {
                    for turn in 0..20_000 {
                        let layout = layout(3 * MIB + (turn + number) % 7 * 64 * KIB);
                        // SAFETY: the size is not 0; the block is ours, of this layout.
                        unsafe {
                            let block = Heap.alloc(layout);
                            assert!(!block.is_null(), "turn {turn}");
                            block.write(1);
                            Heap.dealloc(block, layout);
                        }
                        if turn % 50 == 0 {
                            Heap::purge();
                        }
                    }
                });
            }
        });
    });
}

/// Where the first large block of each of some threads is, which all live at once. Each begins in its own way.
fn first_blocks(ways: &[fn() -> *mut u8]) -> Vec<usize> {
    let Some((way, others)) = ways.split_first() else { return Vec::new() };
    let mut starts = vec![way().addr()];
    starts.extend(on_a_thread(|| first_blocks(others)));
    starts
}

#[test]
fn a_thread_has_a_shard_of_its_own_whatever_it_begins_with() {
    const SIZE: usize = 100 * KIB;
    static FOREIGN: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
    isolated("a_thread_has_a_shard_of_its_own_whatever_it_begins_with", || {
        // SAFETY: no size is 0; the block that grows is ours, of this layout, and used by one thread at a time.
        let starts = unsafe {
            FOREIGN.store(Heap.alloc(layout(SIZE)), Ordering::Relaxed);
            first_blocks(&[
                || Heap.alloc(layout(SIZE)),
                || Heap.alloc_zeroed(layout(SIZE)),
                || Heap.realloc(FOREIGN.load(Ordering::Relaxed), layout(SIZE), 2 * SIZE),
                || Heap.alloc(layout(SIZE)),
            ])
        };
        // A segment has 4 MiB at least; in one that is shared, these blocks would follow each other.
        for (index, start) in starts.iter().enumerate() {
            assert!(starts[..index].iter().all(|other| other.abs_diff(*start) > MIB), "{starts:x?}");
        }
    });
}

/// Tests of their own, as each takes some seconds in a debug build.
fn mappings_of_a_million(size: usize, align: usize) {
    let mappings = mappings_of(1_000_000, size, align);
    assert!(mappings < 1000, "{mappings} mappings");
}

#[test]
fn mappings_stay_few_with_a_million_blocks_of_64_kib() {
    isolated("mappings_stay_few_with_a_million_blocks_of_64_kib", || mappings_of_a_million(64 * KIB, 8));
}

#[test]
fn mappings_stay_few_with_a_million_aligned_blocks() {
    isolated("mappings_stay_few_with_a_million_aligned_blocks", || mappings_of_a_million(64, 8 * KIB));
}

/// Asks for an amount in every way, with each alignment that such a layout may have.
fn is_refused(size: usize, piece: &Piece<Heap>) {
    for align in [1, 8, 4 * KIB, 2 * MIB, 1 << 40, 1 << 46].into_iter().filter(|&align| align <= size) {
        let layout = Layout::from_size_align(size & !(align - 1), align).expect("no more than isize::MAX");
        // SAFETY: the size is not 0.
        let blocks = unsafe { [Heap.alloc(layout), Heap.alloc_zeroed(layout)] };
        assert_eq!(blocks, [ptr::null_mut(); 2], "{layout:?}");
    }
    // SAFETY: the block is the piece's, and stays what it is.
    assert!(unsafe { Heap.realloc(piece.pointer(), layout(piece.size()), size & !7) }.is_null(), "{size}");
}

/// The least of several times.
fn least_time(work: impl Fn()) -> Duration {
    let time = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..10).map(time).min().expect("ten times")
}

/// A hundred mappings that come and go, none of them touched.
fn map_and_unmap() {
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    for _ in 0..100 {
        // SAFETY: a new mapping, which nobody uses.
        unsafe {
            let mapping = libc::mmap(ptr::null_mut(), MIB, access, flags, -1, 0);
            assert!(mapping != libc::MAP_FAILED && libc::munmap(mapping, MIB) == 0);
        }
    }
}

#[test]
fn what_nobody_has_is_refused_at_once_and_leaves_nothing() {
    isolated("what_nobody_has_is_refused_at_once_and_leaves_nothing", || {
        drop(Piece::<Heap>::new(layout(MIB), 1, false));
        let (before, mapped) = (resident(), mappings());
        let mut piece = Piece::<Heap>::new(layout(MIB), 1, false);
        // Below this, a kernel with vm.overcommit_memory = 1 grants whatever is asked for.
        for shift in 44..63 {
            is_refused(1 << shift, &piece);
        }
        is_refused(isize::MAX as usize, &piece);
        let refused = least_time(|| is_refused(1 << 46, &piece));
        let mappings_time = least_time(map_and_unmap);
        assert!(refused < mappings_time, "{refused:?} for a dozen requests, {mappings_time:?} for 100 mappings");
        // Here the kernel is asked.
        limit_address_space(4 << 30);
        let refused = least_time(|| is_refused(1 << 40, &piece));
        assert!(refused < 5 * mappings_time, "{refused:?} for a dozen requests, {mappings_time:?} for 100 mappings");
        piece.resize(2 * MIB);
        drop(piece);
        Heap::purge();
        let left = resident().saturating_sub(before);
        assert!(left < MIB && mappings() < mapped + 20, "{left} bytes, {} mappings", mappings() - mapped);
    });
}

#[test]
fn what_is_aligned_to_more_than_a_granule_is_there() {
    for shift in 21..36 {
        let layout = Layout::from_size_align(100 * KIB, 1 << shift).expect("a power of two");
        let piece = Piece::<Heap>::new(layout, 1, true);
        assert!(piece.address().is_multiple_of(1 << shift));
    }
}

#[test]
fn a_foreign_mapping_is_never_ours() {
    isolated("a_foreign_mapping_is_never_ours", || {
        let pieces: Vec<Piece<Heap>> = (0..50).map(|_| Piece::new(layout(3 * MIB), 1, false)).collect();
        for size in [4 * KIB, MIB, 3 * MIB] {
            for _ in 0..50 {
                let (access, flags) = (libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
                // SAFETY: a new mapping, which stays until the process ends.
                let mapping = unsafe { libc::mmap(ptr::null_mut(), size, access, flags, -1, 0) };
                assert!(mapping != libc::MAP_FAILED);
                for at in [0, size - 1] {
                    assert!(!Heap::owns(mapping.cast::<u8>().wrapping_add(at)));
                }
            }
        }
        assert!(pieces.iter().all(|piece| Heap::owns(piece.pointer())));
    });
}

#[test]
fn prewarming_for_no_bytes_harms_nobody() {
    for align in [4 * KIB, 8 * KIB, 64 * KIB, 4 * MIB] {
        let layout = Layout::from_size_align(0, align).expect("a power of two");
        let pieces: Vec<Piece<Heap>> = (0..4).map(|_| Piece::new(crate::blocks::layout(MIB), 1, false)).collect();
        drop(pieces);
        for _ in 0..4 {
            Heap::prewarm(layout);
        }
        drop((0..8).map(|_| Piece::<Heap>::new(crate::blocks::layout(300 * KIB), 1, true)).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_kept_adds_little_to_the_peak() {
    isolated("what_is_kept_adds_little_to_the_peak", || {
        let before = resident();
        drop(Piece::<Heap>::new(layout(100 * MIB), 1, false));
        let mut boxes = Vec::with_capacity(100 * MIB / 64);
        let mut most = 0;
        for number in 0..100 * MIB / 64 {
            boxes.push(Piece::<Heap>::new(layout(64), 1, false));
            if number % 50_000 == 0 {
                most = most.max(resident() - before);
            }
        }
        // The vector of the pieces themselves.
        let table = boxes.capacity() * size_of::<Piece<Heap>>();
        assert!(most - table < 125 * MIB, "{most} bytes");
    });
}

#[test]
fn where_all_is_freed_a_thread_can_start() {
    isolated("where_all_is_freed_a_thread_can_start", || {
        limit_address_space(256 * MIB);
        for size in [300 * KIB, 5 * MIB, 40 * MIB] {
            let layout = layout(size);
            // SAFETY: the size is not 0; each block is freed once.
            unsafe {
                let blocks: Vec<_> =
                    std::iter::repeat_with(|| Heap.alloc(layout)).take_while(|b| !b.is_null()).collect();
                assert!(blocks.len() * size > 150 * MIB, "{} blocks of {size} bytes", blocks.len());
                blocks.into_iter().for_each(|block| Heap.dealloc(block, layout));
            }
            thread::spawn(|| ()).join().expect("the thread ends well");
        }
    });
}

#[test]
fn a_trickle_of_small_blocks_lets_large_ones_go_back() {
    isolated("a_trickle_of_small_blocks_lets_large_ones_go_back", || {
        let small = || drop(Piece::<Heap>::new(layout(100), 1, false));
        small();
        let before = resident();
        // Long after the heap last looked at the clock.
        thread::sleep(Duration::from_millis(1500));
        drop((0..100).map(|_| Piece::<Heap>::new(layout(MIB), 1, false)).collect::<Vec<_>>());
        let mut kept = usize::MAX;
        // A second or two, if the machine has time.
        for _ in 0..3000 {
            thread::sleep(Duration::from_millis(20));
            small();
            kept = resident().saturating_sub(before);
            if kept < 10 * MIB {
                break;
            }
        }
        assert!(kept < 10 * MIB, "{kept} bytes kept");
    });
}

/// How many different sets of a cache with `sets` sets of 64 bytes blocks of a size start at.
fn starts(count: usize, size: usize, sets: usize) -> usize {
    let pieces: Vec<Piece<Heap>> = (0..count).map(|_| Piece::new(layout(size), 1, false)).collect();
    pieces.iter().map(|piece| piece.address() / 64 % sets).collect::<BTreeSet<_>>().len()
}

#[test]
fn blocks_of_one_size_start_at_different_sets() {
    for size in [320_000, 512 * KIB, MIB, 2 * MIB + 100, 4 * MIB] {
        let (first, second) = (starts(48, size, 64), starts(48, size, 1024));
        assert!(first >= 16 && second >= 32, "{size} bytes: {first} of 64 sets, {second} of 1,024");
    }
}

/// Whether the kernel was asked for huge pages in the mapping of the block: `None` if it has none.
fn asks_for_huge_pages<A: GlobalAlloc>(heap: &A) -> Option<bool> {
    let layout = layout(MIB);
    // SAFETY: the size is not 0.
    let block = unsafe { heap.alloc(layout) };
    let maps = std::fs::read_to_string("/proc/self/smaps").ok()?;
    // SAFETY: the block is ours, of this layout.
    unsafe { heap.dealloc(block, layout) };
    let mut inside = false;
    for line in maps.lines() {
        let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
        let number = |text| usize::from_str_radix(text, 16).ok();
        match (range.and_then(|(from, to)| Some(number(from)?..number(to)?)), line.strip_prefix("VmFlags:")) {
            (Some(range), _) => inside = range.contains(&block.addr()),
            (None, Some(flags)) if inside => return Some(flags.split(' ').any(|flag| flag == "hg")),
            _ => {}
        }
    }
    None
}

#[test]
fn segments_ask_for_huge_pages_where_the_spec_does() {
    if std::fs::exists("/sys/kernel/mm/transparent_hugepage").unwrap_or(false) {
        assert_ne!(asks_for_huge_pages(&Heap), Some(true));
        assert_ne!(asks_for_huge_pages(&Huge), Some(false));
    }
}
