//! A class given twice.

hakmem::allocator! {
    pub struct Heap {
        [[class]]
        sizes = [32, 64]

        [[class]]
        size = 64
    }
}

fn main() {}
