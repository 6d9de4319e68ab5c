//! A capacity that its field cannot hold.

hakmem::allocator! {
    pub struct Heap {
        [[class]]
        size = 64
        layers = ["unified"]
        unified = { capacity = 70000 }
    }
}

fn main() {}
