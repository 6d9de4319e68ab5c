//! A file that does not exist.

hakmem::allocator! {
    pub struct Heap = "no-such.toml";
}

fn main() {}
