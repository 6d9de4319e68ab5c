//! A policy that a class's layers cannot follow, from the defaults.

hakmem::allocator! {
    pub struct Heap {
        [defaults]
        refill = "legacy"

        [[class]]
        size = 64

        [[class]]
        size = 128
        layers = ["fast"]
    }
}

fn main() {}
