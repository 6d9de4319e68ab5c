//! The size of a class off the grid.

hakmem::allocator! {
    pub struct Heap {
        [[class]]
        size = 20
    }
}

fn main() {}
