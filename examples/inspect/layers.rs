//! The hit path of each layer as symbols: `cargo asm --example inspect ring_alloc`.
//!
//! The allocators have the same classes and differ in their layers only. This file is generated from the catalogue
//! of layers: `BLESS=1 cargo test -p hakmem-spec catalogue` writes it.

crate::paths::paths! {
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
}

mod unified {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            layers = ["unified", "sll"]

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
            layers = ["c23", "sll"]

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
            layers = ["hot", "sll"]

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
