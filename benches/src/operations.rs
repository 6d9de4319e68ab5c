//! Operations whose instructions are counted. Each runs a given number of times: the difference between
//! two runs of different lengths is free of the program's start and end.

use std::alloc::{self, Layout, handle_alloc_error};
use std::hint::black_box;
use std::mem::MaybeUninit;

use hakmem_harness::random::Random;

/// Something done in a loop; the loop's two or three instructions are counted with it.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// What the user calls it.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Does it this many times.
    pub run: fn(u64),
}

/// All of them.
pub static OPERATIONS: [Operation; 7] = [
    Operation { name: "const_64", about: "a Box of 64 B, and its free", run: constant },
    Operation { name: "lifo_const_64", about: "one of 100 boxes of 64 B, freed last in first out", run: lifo },
    Operation { name: "dynamic", about: "16–1,024 B, the size known at run time, and its free", run: dynamic },
    Operation { name: "dynamic_32k", about: "32 KiB, the size known at run time, and its free", run: middle },
    Operation {
        name: "replace",
        about: "one at random of 1,000 blocks of 16–1,024 B freed and replaced",
        run: replace,
    },
    Operation { name: "zeroed_256", about: "256 B zeroed, the size known at run time, and its free", run: zeroed },
    Operation { name: "realloc", about: "64 B, made 72 B, made 256 B, and its free", run: reallocate },
];

fn constant(times: u64) {
    for _ in 0..times {
        black_box(Box::<[u64; 8]>::new_uninit());
    }
}

fn lifo(times: u64) {
    let mut boxes: Vec<Box<MaybeUninit<[u64; 8]>>> = Vec::with_capacity(100);
    for _ in 0..times / 100 {
        for _ in 0..100 {
            boxes.push(black_box(Box::new_uninit()));
        }
        while boxes.pop().is_some() {}
    }
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(black_box(size), 8).unwrap_or(Layout::new::<u64>())
}

fn dynamic(times: u64) {
    let layouts: Vec<Layout> = (0..64).map(|index| layout(16 + index * 997 % 1009)).collect();
    for &layout in layouts.iter().cycle().take(times as usize) {
        // SAFETY: no size is 0, and each block is freed with its layout.
        unsafe {
            let block = black_box(alloc::alloc(layout));
            if block.is_null() {
                handle_alloc_error(layout);
            }
            alloc::dealloc(block, layout);
        }
    }
}

fn middle(times: u64) {
    for _ in 0..times {
        black_box(Vec::<u8>::with_capacity(black_box(32 << 10)));
    }
}

/// Refills and flushes are part of it.
fn replace(times: u64) {
    let mut random = Random::new(0);
    let mut blocks: Vec<Vec<u8>> = (0..1000).map(|_| Vec::with_capacity(random.within(16, 1024))).collect();
    for _ in 0..times {
        let (place, size) = (random.below(blocks.len()), random.within(16, 1024));
        blocks[place] = Vec::new();
        blocks[place] = black_box(Vec::with_capacity(size));
    }
}

fn zeroed(times: u64) {
    for _ in 0..times {
        let layout = layout(256);
        // SAFETY: the size is not 0, and each block is freed with its layout.
        unsafe {
            let block = black_box(alloc::alloc_zeroed(layout));
            if block.is_null() {
                handle_alloc_error(layout);
            }
            alloc::dealloc(block, layout);
        }
    }
}

fn reallocate(times: u64) {
    for _ in 0..times {
        let mut layout = layout(64);
        // SAFETY: no size is 0, and a block's layout is that of its last size.
        unsafe {
            let mut block = alloc::alloc(layout);
            for size in [72, 256] {
                if block.is_null() {
                    handle_alloc_error(layout);
                }
                let size = black_box(size);
                block = black_box(alloc::realloc(block, layout, size));
                layout = self::layout(size);
            }
            alloc::dealloc(block, layout);
        }
    }
}
