//! A spec whose text another macro made.

macro_rules! heap {
    ($size:literal) => {
        hakmem::allocator! {
            pub struct Heap {
                [[class]]
                size = $size
            }
        }
    };
}

heap!(64);

fn main() {}
