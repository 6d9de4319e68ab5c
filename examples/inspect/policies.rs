//! The hit paths of each policy that changes them: `cargo asm --example inspect deferred_free`.
//!
//! The allocators have the classes of those in `layers.rs`, the default layers and one policy.

crate::paths::paths! {
    deferred::Heap: deferred_alloc deferred_free deferred_alloc_any deferred_free_any,
    region_id::Heap: region_id_alloc region_id_free region_id_alloc_any region_id_free_any,
    stats::Heap: stats_alloc stats_free stats_alloc_any stats_free_any,
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
