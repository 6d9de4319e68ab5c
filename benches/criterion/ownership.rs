//! Ways to decide whether a pointer is ours: `cargo bench -p hakmem-benches --bench ownership`.
//!
//! - `mincore`: ask the kernel whether the page is mapped, then trust a header in front of the block.
//! - `hybrid`: the header lies on the block's own page unless the block starts one; ask only then.
//! - `registry`: two loads of the registry, no system call, no touch of the memory. What hakmem does.
//!
//! Each decides for 1,024 pointers to blocks of 64 bytes; one in 64 of these starts a page.

#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;

hakmem::allocator! {
    /// The allocator whose blocks are asked about.
    pub struct Heap;
}

const PAGE: usize = 4096;
const POINTERS: usize = 1024;

/// Whether the page that `address` is on is mapped.
fn is_mapped(address: usize) -> bool {
    let mut resident = 0;
    let page = std::ptr::without_provenance_mut(address & !(PAGE - 1));
    // SAFETY: the kernel looks at the page tables and writes one byte; it touches nothing else.
    unsafe { libc::mincore(page, 1, &raw mut resident) == 0 }
}

fn ownership(criterion: &mut Criterion) {
    let layout = Layout::from_size_align(64, 8).expect("a power of two");
    // SAFETY: the size is not 0. The blocks are kept for ever.
    let pointers: Vec<usize> = (0..POINTERS).map(|_| unsafe { Heap.alloc(layout) }.addr()).collect();
    assert!(pointers.iter().all(|&pointer| is_mapped(pointer) && Heap::owns(std::ptr::without_provenance(pointer))));
    let mut group = criterion.benchmark_group("ownership");
    group.throughput(Throughput::Elements(POINTERS as u64));
    let mut bench = |name: &str, is_ours: &dyn Fn(usize) -> bool| {
        group.bench_function(name, |bencher| {
            bencher.iter(|| pointers.iter().filter(|&&pointer| is_ours(black_box(pointer))).count());
        });
    };
    bench("none", &|_| true);
    bench("mincore", &|pointer| is_mapped(pointer - 1));
    bench("hybrid", &|pointer| pointer % PAGE != 0 || is_mapped(pointer - 1));
    bench("registry", &|pointer| Heap::owns(std::ptr::without_provenance(pointer)));
    group.finish();
}

criterion_group!(benches, ownership);
criterion_main!(benches);
