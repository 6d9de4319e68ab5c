//! An enum in place of a struct.

hakmem::allocator! {
    enum Heap;
}

fn main() {}
