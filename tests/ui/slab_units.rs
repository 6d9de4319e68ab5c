//! Slabs that hold no block.

hakmem::allocator! {
    pub struct Heap {
        [[class]]
        size = "256 KiB"
        slab_units = 3
    }
}

fn main() {}
