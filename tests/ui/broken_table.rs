//! A table that is wrong does not compile.

use hakmem::__private::{Tables, assert_tables};

hakmem::allocator! {
    struct Heap {
        [[class]]
        sizes = [16, 64]
        layers = ["sll"]
    }
}

/// No spec makes it: each size up to 64 bytes has the class of 16 bytes.
const BROKEN: hakmem::__private::SmallTable = [[0; 129]; 8];

const _: () = assert_tables::<Heap>(Tables { small: &BROKEN, medium: &[], by_size: &[0, 1], offsets: &[0, 16] });

fn main() {}
