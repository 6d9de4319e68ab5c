//! The hit path of each layer, and of each policy that changes it, as symbols: `cargo asm --example inspect ring_alloc`.
//!
//! Every allocator here has the same classes and differs in the front alone. The size is a constant, 64 bytes; the
//! `_any` functions take it at run time.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;

/// `NAME_alloc`, `NAME_free`, `NAME_alloc_any` and `NAME_free_any` of an allocator.
macro_rules! paths {
    ($($heap:path: $alloc:ident $free:ident $alloc_any:ident $free_any:ident,)*) => {
        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            pub fn $alloc() -> *mut u8 {
                // SAFETY: the size is not 0.
                unsafe { $heap.alloc(super::layout(64)) }
            }

            #[unsafe(no_mangle)]
            #[inline(never)]
            pub unsafe fn $free(block: *mut u8) {
                // SAFETY: the caller's contract.
                unsafe { $heap.dealloc(block, super::layout(64)) }
            }

            #[unsafe(no_mangle)]
            #[inline(never)]
            pub fn $alloc_any(size: usize) -> *mut u8 {
                // SAFETY: callers pass a valid size.
                unsafe { $heap.alloc(Layout::from_size_align_unchecked(size, 8)) }
            }

            #[unsafe(no_mangle)]
            #[inline(never)]
            pub unsafe fn $free_any(block: *mut u8, size: usize) {
                // SAFETY: callers pass a block and its size.
                unsafe { $heap.dealloc(block, Layout::from_size_align_unchecked(size, 8)) }
            }
        )*

        /// Calls each once, so that none is dropped by the linker.
        pub fn each() {
            $(
                // SAFETY: each block goes back with the layout it came with.
                unsafe {
                    $free(black_box($alloc()));
                    $free_any(black_box($alloc_any(black_box(100))), black_box(100));
                }
            )*
        }
    };
}

paths! {
    unified::Heap: unified_alloc unified_free unified_alloc_any unified_free_any,
    sll::Heap: sll_alloc sll_free sll_alloc_any sll_free_any,
    ring::Heap: ring_alloc ring_free ring_alloc_any ring_free_any,
    fast::Heap: fast_alloc fast_free fast_alloc_any fast_free_any,
    sfc::Heap: sfc_alloc sfc_free sfc_alloc_any sfc_free_any,
    c23::Heap: c23_alloc c23_free c23_alloc_any c23_free_any,
    ultrahot::Heap: ultrahot_alloc ultrahot_free ultrahot_alloc_any ultrahot_free_any,
    heapv2::Heap: heapv2_alloc heapv2_free heapv2_alloc_any heapv2_free_any,
    hot::Heap: hot_alloc hot_free hot_alloc_any hot_free_any,
    pages::Heap: pages_alloc pages_free pages_alloc_any pages_free_any,
    quarantine::Heap: quarantine_alloc quarantine_free quarantine_alloc_any quarantine_free_any,
    deferred::Heap: deferred_alloc deferred_free deferred_alloc_any deferred_free_any,
    region_id::Heap: region_id_alloc region_id_free region_id_alloc_any region_id_free_any,
    stats::Heap: stats_alloc stats_free stats_alloc_any stats_free_any,
}

mod unified {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            layers = ["unified"]

            [[class]]
            sizes = { from = 16, to = 1024, steps_per_doubling = 2 }
        }
    }
}

mod sll {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            layers = ["sll"]

            [[class]]
            sizes = { from = 16, to = 1024, steps_per_doubling = 2 }
        }
    }
}

mod ring {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            layers = ["ring", "sll"]

            [[class]]
            sizes = { from = 16, to = 1024, steps_per_doubling = 2 }
        }
    }
}

mod fast {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            layers = ["fast", "sll"]

            [[class]]
            sizes = { from = 16, to = 1024, steps_per_doubling = 2 }
        }
    }
}

mod sfc {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            layers = ["sfc", "sll"]

            [[class]]
            sizes = { from = 16, to = 1024, steps_per_doubling = 2 }
        }
    }
}

mod c23 {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            layers = ["c23"]

            [[class]]
            sizes = { from = 16, to = 1024, steps_per_doubling = 2 }
        }
    }
}

mod ultrahot {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            layers = ["ultrahot", "unified", "sll"]

            [[class]]
            sizes = { from = 16, to = 1024, steps_per_doubling = 2 }
        }
    }
}

mod heapv2 {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            layers = ["heapv2", "sll"]

            [[class]]
            sizes = { from = 16, to = 1024, steps_per_doubling = 2 }
        }
    }
}

mod hot {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            layers = ["hot"]

            [[class]]
            sizes = { from = 16, to = 1024, steps_per_doubling = 2 }
        }
    }
}

mod pages {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            layers = ["pages"]

            [[class]]
            sizes = { from = 16, to = 1024, steps_per_doubling = 2 }
        }
    }
}

mod quarantine {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            layers = ["quarantine", "sll"]

            [[class]]
            sizes = { from = 16, to = 1024, steps_per_doubling = 2 }
        }
    }
}

mod deferred {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            free = "deferred"

            [[class]]
            sizes = { from = 16, to = 1024, steps_per_doubling = 2 }
        }
    }
}

mod region_id {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            header = "region-id"

            [[class]]
            sizes = { from = 16, to = 1024, steps_per_doubling = 2 }
        }
    }
}

mod stats {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            stats = true

            [[class]]
            sizes = { from = 16, to = 1024, steps_per_doubling = 2 }
        }
    }
}
