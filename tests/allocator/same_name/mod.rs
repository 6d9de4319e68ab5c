//! Allocators of one name, each with a thread-local word of its own. The word is a symbol, because assembly defines it:
//! had two of these the same, this program would not link.

use crate::blocks::{Subject, subjects};
use std::alloc::Layout;

// At the same line and column of two files.
mod one;
mod other;

/// Allocators whose names are written here.
macro_rules! heaps {
    ($($module:ident)*) => {$(
        mod $module {
            hakmem::allocator! {
                pub(crate) struct Heap = "tests/allocator/same_name/classes.toml";
            }
        }
    )*};
}

heaps!(first second);
heaps!(third);

subjects!(one::Heap, other::Heap, first::Heap, second::Heap, third::Heap);

/// Which of them own a block of `A`, before and after it is freed.
fn owners_of_a_block<A: Subject>() -> [bool; 5] {
    let layout = Layout::new::<[u64; 4]>();
    // SAFETY: the layout is not empty; the block is freed once, with its own layout, and not used.
    let block = unsafe { A::default().alloc(layout) };
    let owners = [one::Heap::owns, other::Heap::owns, first::Heap::owns, second::Heap::owns, third::Heap::owns];
    let owners = owners.map(|owns| owns(block));
    // SAFETY: as above.
    unsafe { A::default().dealloc(block, layout) };
    owners
}

#[test]
fn allocators_of_one_name_share_nothing() {
    let owners = [
        owners_of_a_block::<one::Heap>(),
        owners_of_a_block::<other::Heap>(),
        owners_of_a_block::<first::Heap>(),
        owners_of_a_block::<second::Heap>(),
        owners_of_a_block::<third::Heap>(),
    ];
    for (own, owners) in owners.iter().enumerate() {
        assert!(owners.iter().enumerate().all(|(index, owns)| *owns == (index == own)), "{owners:?}");
    }
}
