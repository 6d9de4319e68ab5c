//! A layer behind one that never refuses.

hakmem::allocator! {
    pub struct Heap {
        [[class]]
        size = 64
        layers = ["sll", "unified"]
    }
}

fn main() {}
