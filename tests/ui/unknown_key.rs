//! A key that nothing reads.

hakmem::allocator! {
    pub struct Heap {
        [[class]]
        size = 64
        bacth = 16
    }
}

fn main() {}
