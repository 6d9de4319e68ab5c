//! A class behind a larger one.

hakmem::allocator! {
    pub struct Heap {
        [[class]]
        size = 64

        [[class]]
        size = 32
    }
}

fn main() {}
