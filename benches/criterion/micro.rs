//! Single operations, always over a working set: a loop that allocates and frees one block would measure how fast the
//! processor forwards a store to the next load.
//!
//! Both allocators are called through `GlobalAlloc`, each named by type, so what runs is what the label says.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use hakmem_benches::Heap;
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;

/// Blocks alive at a time.
const WORKING_SET: usize = 256;

/// Fills a working set and empties it, `order` deciding which block goes first.
fn fill_and_empty(allocator: &impl GlobalAlloc, layout: Layout, order: &[usize]) {
    let mut blocks = [std::ptr::null_mut::<u8>(); WORKING_SET];
    for place in &mut blocks {
        // SAFETY: the size is not 0; the block is written before it goes back with the same layout.
        unsafe {
            *place = allocator.alloc(layout);
            place.write(1);
        }
    }
    black_box(&blocks);
    for &index in order {
        // SAFETY: each index comes once.
        unsafe { allocator.dealloc(blocks[index], layout) };
    }
}

/// 0 to n in an order fixed by a small generator.
fn shuffled(n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for last in (1..n).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(last, usize::try_from(state % (last as u64 + 1)).unwrap_or(0));
    }
    order
}

fn working_sets(criterion: &mut Criterion) {
    assert!(Heap::owns(probe()), "Heap is the allocator that the label names");
    let lifo: Vec<usize> = (0..WORKING_SET).rev().collect();
    let random = shuffled(WORKING_SET);
    for (name, order) in [("last in first out", &lifo), ("random order", &random)] {
        let mut group = criterion.benchmark_group(name);
        for size in [8, 32, 64, 256, 1024, 4096, 32_768] {
            let layout = Layout::from_size_align(size, 8).expect("a valid layout");
            group.throughput(criterion::Throughput::Elements(WORKING_SET as u64));
            group.bench_with_input(BenchmarkId::new("hakmem", size), &layout, |bencher, &layout| {
                bencher.iter(|| fill_and_empty(&Heap, layout, order));
            });
            group.bench_with_input(BenchmarkId::new("system", size), &layout, |bencher, &layout| {
                bencher.iter(|| fill_and_empty(&System, layout, order));
            });
        }
    }
}

/// A block of the allocator under test; it stays allocated.
fn probe() -> *const u8 {
    // SAFETY: the size is not 0.
    unsafe { Heap.alloc(Layout::new::<u64>()) }
}

criterion_group!(micro, working_sets);
criterion_main!(micro);
