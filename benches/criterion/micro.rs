//! What `Box` does with a size that the compiler knows, and every operation of `GlobalAlloc` with one that it does not.
//! Always over a working set: a loop that allocates and frees one block would measure how fast the processor forwards a
//! store to the next load.
//!
//! ```sh
//! cargo bench -p hakmem-benches --bench micro                                       # against the system's allocator
//! CXXFLAGS=-DNDEBUG cargo bench -p hakmem-benches --features peers --bench micro    # against all that link together
//! ```
//!
//! The allocators are called through `GlobalAlloc`, each named by type, so what runs is what the label says. (`NDEBUG`:
//! snmalloc's build without cmake leaves its assertions in. mimalloc's two versions do not link together; here is v3.)

#![allow(missing_docs)]

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hakmem_harness::random::Random;
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::time::{Duration, Instant};

hakmem::allocator! {
    /// The default spec.
    pub struct Heap;
}

/// Blocks alive at a time.
const WORKING_SET: usize = 256;

/// Less of large blocks, so that a working set stays below 16 MiB.
fn count(size: usize) -> usize {
    WORKING_SET.min((16 << 20) / size)
}

const SIZES: [usize; 10] = [8, 16, 32, 64, 256, 1024, 4096, 32_768, 262_144, 1 << 20];

/// What is measured of an allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timed {
    /// Allocate and free, in the order given.
    Pair,
    /// Only allocating is timed.
    Allocate,
    /// Only allocating memory that is zero is timed.
    AllocateZeroed,
    /// Only making blocks half as large again is timed.
    Reallocate,
    /// Only freeing is timed, in the order given.
    Free,
}

/// A working set of one allocator.
struct Blocks<'a, A> {
    allocator: &'a A,
    blocks: Vec<*mut u8>,
}

impl<A: GlobalAlloc> Blocks<'_, A> {
    #[inline(always)]
    fn fill(&mut self, layout: Layout, zeroed: bool) {
        for place in &mut self.blocks {
            // SAFETY: the size is not 0; the block is written before it goes back with the same layout.
            unsafe {
                *place = if zeroed { self.allocator.alloc_zeroed(layout) } else { self.allocator.alloc(layout) };
                place.write(1);
            }
        }
        black_box(&self.blocks);
    }

    #[inline(always)]
    fn grow(&mut self, layout: Layout, size: usize) {
        for place in &mut self.blocks {
            // SAFETY: the blocks have this layout, and the size is not 0.
            unsafe {
                *place = self.allocator.realloc(*place, layout, size);
                place.write(1);
            }
        }
        black_box(&self.blocks);
    }

    #[inline(always)]
    fn empty(&self, layout: Layout, order: &[u32]) {
        for &index in order {
            // SAFETY: each index comes once; the caller tells the layout of the last size.
            unsafe { self.allocator.dealloc(self.blocks[index as usize], layout) };
        }
    }
}

/// The time that `operation` takes `times` times over a working set. Inlined, so that a constant layout stays one.
#[inline(always)]
fn time<A: GlobalAlloc>(operation: Timed, allocator: &A, layout: Layout, order: &[u32], times: u64) -> Duration {
    let larger = Layout::from_size_align(layout.size() * 3 / 2, layout.align()).expect("a valid layout");
    let mut blocks = Blocks { allocator, blocks: vec![std::ptr::null_mut(); order.len()] };
    let mut elapsed = Duration::ZERO;
    if operation == Timed::Pair {
        let started = Instant::now();
        for _ in 0..times {
            blocks.fill(layout, false);
            blocks.empty(layout, order);
        }
        return started.elapsed();
    }
    for _ in 0..times {
        let started = Instant::now();
        blocks.fill(layout, operation == Timed::AllocateZeroed);
        let filled = started.elapsed();
        let mut last = layout;
        if operation == Timed::Reallocate {
            let started = Instant::now();
            blocks.grow(layout, larger.size());
            elapsed += started.elapsed();
            last = larger;
        }
        let started = Instant::now();
        blocks.empty(last, order);
        match operation {
            Timed::Allocate | Timed::AllocateZeroed => elapsed += filled,
            Timed::Free => elapsed += started.elapsed(),
            Timed::Reallocate | Timed::Pair => {}
        }
    }
    elapsed
}

/// The numbers below `count` in an order that is the same in every run.
fn shuffled(count: usize) -> Vec<u32> {
    Random::new(0).order(count)
}

/// Calls `$on!` with the name and the value of each allocator.
macro_rules! each_allocator {
    ($on:ident) => {
        $on!("hakmem", Heap);
        $on!("system", System);
        #[cfg(feature = "on-mimalloc")]
        $on!("mimalloc", mimalloc::MiMalloc);
        #[cfg(feature = "on-jemalloc")]
        $on!("jemalloc", tikv_jemallocator::Jemalloc);
        #[cfg(feature = "on-snmalloc")]
        $on!("snmalloc", snmalloc_rs::SnMalloc::new());
        #[cfg(feature = "on-rpmalloc")]
        $on!("rpmalloc", rpmalloc::RpMalloc);
        #[cfg(feature = "on-rusty-alloc")]
        $on!("rusty_alloc", rusty_alloc_api::RustyAlloc);
    };
}

/// One operation at one size that the compiler does not know, on each allocator.
fn each(group: &mut BenchmarkGroup<WallTime>, operation: Timed, layout: Layout, order: &[u32]) {
    group.throughput(Throughput::Elements(order.len() as u64));
    macro_rules! on {
        ($name:literal, $allocator:expr) => {
            group.bench_with_input(BenchmarkId::new($name, layout.size()), &layout, |bencher, &layout| {
                bencher.iter_custom(|times| time(operation, &$allocator, black_box(layout), order, times));
            });
        };
    }
    each_allocator!(on);
}

/// What `Box` does with a value of `WORDS` words, on each allocator: an allocation and a free of a constant layout.
fn each_box<const WORDS: usize>(group: &mut BenchmarkGroup<WallTime>) {
    let order = shuffled(count(8 * WORDS));
    group.throughput(Throughput::Elements(order.len() as u64));
    macro_rules! on {
        ($name:literal, $allocator:expr) => {
            group.bench_function(BenchmarkId::new($name, 8 * WORDS), |bencher| {
                let layout = Layout::new::<[u64; WORDS]>();
                bencher.iter_custom(|times| time(Timed::Pair, &$allocator, layout, &order, times));
            });
        };
    }
    each_allocator!(on);
}

/// A group with a quarter of criterion's usual time for each of its many cells.
fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_millis(1200)).sample_size(50);
    group
}

fn boxes(criterion: &mut Criterion) {
    let mut group = group(criterion, "box");
    macro_rules! sizes {
        ($($size:literal)*) => { $(each_box::<{ $size / 8 }>(&mut group);)* };
    }
    sizes!(8 16 32 64 256 1024 4096 32_768 262_144 1_048_576);
}

fn micro(criterion: &mut Criterion) {
    assert!(Heap::owns(probe()), "Heap is the allocator that the label names");
    for (name, operation, random) in [
        ("last in first out", Timed::Pair, false),
        ("random order", Timed::Pair, true),
        ("alloc", Timed::Allocate, true),
        ("alloc_zeroed", Timed::AllocateZeroed, true),
        ("realloc", Timed::Reallocate, true),
        ("dealloc", Timed::Free, true),
    ] {
        let mut group = group(criterion, name);
        for size in SIZES {
            let layout = Layout::from_size_align(size, 8).expect("a valid layout");
            let order = if random { shuffled(count(size)) } else { (0..count(size) as u32).rev().collect() };
            each(&mut group, operation, layout, &order);
        }
    }
}

/// A block of the allocator under test; it stays allocated.
fn probe() -> *const u8 {
    // SAFETY: the size is not 0.
    unsafe { Heap.alloc(Layout::new::<u64>()) }
}

criterion_group!(benches, boxes, micro);
criterion_main!(benches);
