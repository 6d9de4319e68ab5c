//! Rust tokens that are no TOML.

hakmem::allocator! {
    pub struct Heap {
        [[class]]
        size = = 64
    }
}

fn main() {}
