//! Hit paths as symbols, for a size known at compile time and for one known at run time.

/// `NAME_alloc`, `NAME_free`, `NAME_alloc_any` and `NAME_free_any` of each allocator, and `each`, which calls them.
macro_rules! paths {
    ($($heap:path: $alloc:ident $free:ident $alloc_any:ident $free_any:ident,)*) => {
        use std::alloc::{GlobalAlloc as _, Layout};
        use std::hint::black_box;

        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            pub fn $alloc() -> *mut u8 {
                // SAFETY: the size is not 0.
                unsafe { $heap.alloc(crate::layout(64)) }
            }

            #[unsafe(no_mangle)]
            #[inline(never)]
            pub unsafe fn $free(block: *mut u8) {
                // SAFETY: the caller passes a block of this allocator and size.
                unsafe { $heap.dealloc(block, crate::layout(64)) }
            }

            #[unsafe(no_mangle)]
            #[inline(never)]
            pub fn $alloc_any(size: usize) -> *mut u8 {
                // SAFETY: the caller passes a valid size, not 0, and the alignment is a power of two.
                unsafe { $heap.alloc(Layout::from_size_align_unchecked(size, 8)) }
            }

            #[unsafe(no_mangle)]
            #[inline(never)]
            pub unsafe fn $free_any(block: *mut u8, size: usize) {
                // SAFETY: the caller passes a block of this allocator and its size.
                unsafe { $heap.dealloc(block, Layout::from_size_align_unchecked(size, 8)) }
            }
        )*

        /// Calls each path once, so that the linker keeps it.
        pub fn each() {
            $(
                // SAFETY: each block is freed with the layout that it was allocated with.
                unsafe {
                    $free(black_box($alloc()));
                    $free_any(black_box($alloc_any(black_box(100))), black_box(100));
                }
            )*
        }
    };
}

pub(crate) use paths;
