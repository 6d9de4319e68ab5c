//! Hit paths as functions to disassemble: `cargo asm --example inspect alloc_32`.
//!
//! Each function is kept out of line under its own name, in a program whose global allocator is generated from the
//! default spec. `layers.rs` and `policies.rs` have allocators with one layer or policy each. The `golden` test
//! disassembles this program and compares the counts of each path with the tables in `tests/golden/`.

#![allow(clippy::missing_safety_doc, missing_docs, unreachable_pub)]

mod layers;
mod paths;
mod policies;

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;

hakmem::allocator! {
    /// Serves every allocation of this program.
    pub struct Heap;
}

#[global_allocator]
static GLOBAL: Heap = Heap;

/// A layout of this size, aligned to a word.
const fn layout(size: usize) -> Layout {
    match Layout::from_size_align(size, 8) {
        Ok(layout) => layout,
        Err(_) => panic!("the sizes below are valid"),
    }
}

/// `alloc_N` and `free_N` for constant sizes.
macro_rules! constant_sizes {
    ($($size:literal $alloc:ident $free:ident),* $(,)?) => {
        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            pub fn $alloc() -> *mut u8 {
                // SAFETY: the size is not 0.
                unsafe { GLOBAL.alloc(layout($size)) }
            }

            #[unsafe(no_mangle)]
            #[inline(never)]
            pub unsafe fn $free(block: *mut u8) {
                // SAFETY: the caller passes a block of this allocator and size.
                unsafe { GLOBAL.dealloc(block, layout($size)) }
            }
        )*

        /// Calls each function once, so that the linker keeps it.
        fn constant() {
            $(
                // SAFETY: each block is freed with the layout that it was allocated with.
                unsafe { $free(black_box($alloc())) };
            )*
        }
    };
}

constant_sizes! {
    8 alloc_8 free_8, 16 alloc_16 free_16, 24 alloc_24 free_24, 32 alloc_32 free_32, 40 alloc_40 free_40,
    48 alloc_48 free_48, 56 alloc_56 free_56, 64 alloc_64 free_64, 72 alloc_72 free_72, 80 alloc_80 free_80,
    88 alloc_88 free_88, 96 alloc_96 free_96, 104 alloc_104 free_104, 112 alloc_112 free_112,
    120 alloc_120 free_120, 128 alloc_128 free_128, 160 alloc_160 free_160, 192 alloc_192 free_192,
    224 alloc_224 free_224, 256 alloc_256 free_256, 320 alloc_320 free_320, 384 alloc_384 free_384,
    448 alloc_448 free_448, 512 alloc_512 free_512, 640 alloc_640 free_640, 768 alloc_768 free_768,
    896 alloc_896 free_896, 1024 alloc_1024 free_1024, 2048 alloc_2048 free_2048,
}

/// Size and alignment are known only at run time.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn alloc_any(size: usize, align: usize) -> *mut u8 {
    // SAFETY: the caller passes a valid layout of a size other than 0.
    unsafe { GLOBAL.alloc(Layout::from_size_align_unchecked(size, align)) }
}

#[unsafe(no_mangle)]
#[inline(never)]
pub unsafe fn free_any(block: *mut u8, size: usize, align: usize) {
    // SAFETY: the caller passes a block of this allocator and its layout.
    unsafe { GLOBAL.dealloc(block, Layout::from_size_align_unchecked(size, align)) }
}

/// Allocations as ordinary programs make them.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn box_new(value: [u64; 4]) -> Box<[u64; 4]> {
    Box::new(value)
}

#[unsafe(no_mangle)]
#[inline(never)]
pub fn box_drop(value: Box<[u64; 4]>) {
    drop(value);
}

#[unsafe(no_mangle)]
#[inline(never)]
pub fn vec_push(values: &mut Vec<u64>, value: u64) {
    values.push(value);
}

/// A box that the compiler may optimise away. README says under which profiles it does.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn box_elided(value: u64) -> u64 {
    let boxed = Box::new(value);
    *boxed + 1
}

fn main() {
    constant();
    layers::each();
    policies::each();
    let boxed = box_new(black_box([1; 4]));
    let ours = Heap::owns(boxed.as_ptr().cast());
    box_drop(boxed);
    let mut values = Vec::new();
    for value in 0..black_box(10) {
        vec_push(&mut values, value);
    }
    let block = alloc_any(black_box(100), black_box(8));
    // SAFETY: the layout is the one it was allocated with.
    unsafe { free_any(block, black_box(100), black_box(8)) };
    println!("allocator in force: {}", if ours { "hakmem" } else { "another" });
    println!("{} {}", values.len(), box_elided(black_box(1)));
    print!("{}", Heap::classes());
    print!("{}", Heap::stats());
}
