//! A semicolon that is missing.

hakmem::allocator! {
    struct Heap
}

fn main() {}
