//! A layer that finds slabs by arithmetic, over spans in which it cannot.

hakmem::allocator! {
    pub struct Heap {
        [[class]]
        size = 64
        layers = ["pages"]
        slab_units = 2
    }
}

fn main() {}
