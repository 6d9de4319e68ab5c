//! A number in place of a path.

hakmem::allocator! {
    struct Heap = 5;
}

fn main() {}
