//! A layer that does not exist.

hakmem::allocator! {
    pub struct Heap {
        [[class]]
        size = 64
        layers = ["unifed", "sll"]
    }
}

fn main() {}
