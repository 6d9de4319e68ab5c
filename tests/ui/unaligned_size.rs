//! A size that is no multiple of its alignment, in a spec of one line.

hakmem::allocator! {
    pub struct Heap { class = [{ size = 104, align = 16 }] }
}

fn main() {}
