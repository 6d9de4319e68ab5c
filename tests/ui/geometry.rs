//! A SuperSlab that is no power of two.

hakmem::allocator! {
    pub struct Heap {
        [superslab]
        size = "3 MiB"

        [[class]]
        size = 64
    }
}

fn main() {}
