//! First of all: the generated allocator is the one in force. All other tests would pass without it, on the system's.

use crate::rerun::isolated;
use crate::{GLOBAL, Heap};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

static STATIC: [u8; 64] = [1; 64];

/// Whether the value behind a reference lies in the allocator's memory.
fn owned<T: ?Sized>(value: &T) -> bool {
    Heap::owns(std::ptr::from_ref(value).cast())
}

#[test]
fn what_the_program_allocates_is_ours() {
    assert!(owned(&*Box::new(1_u8)));
    assert!(owned(&*Box::new([0_u64; 100])));
    assert!(owned("a string".to_owned().as_str()));
    assert!(owned(vec![1, 2, 3].as_slice()));
    assert!(owned(&*Arc::new(5)));
    assert!(owned(format!("{}", 1).as_str()));
    let tree: BTreeMap<u32, u32> = (0..100).map(|number| (number, number)).collect();
    assert!(tree.values().all(owned));
    let table: HashMap<u32, u32> = (0..100).map(|number| (number, number)).collect();
    assert!(table.values().all(owned));
}

#[test]
fn blocks_of_every_kind_are_ours_to_the_last_byte() {
    let largest = Heap::CLASSES.iter().map(|class| class.size as usize).max().expect("there are classes");
    for size in [1, 8, 1024, 1025, largest, largest + 1, 5 << 20] {
        let block = vec![1_u8; size].into_boxed_slice();
        assert!(owned(&block[0]) && owned(&block[size / 2]) && owned(&block[size - 1]), "{size}");
    }
}

#[test]
fn blocks_of_other_threads_are_ours() {
    let block = std::thread::spawn(|| Box::new([7_u8; 40])).join().expect("the thread ends well");
    assert!(owned(&*block));
}

#[test]
fn what_it_did_not_allocate_is_not_ours() {
    let on_the_stack = [1_u8; 64];
    assert!(!owned(&on_the_stack));
    assert!(!owned(&STATIC));
    assert!(!owned("a literal"));
    assert!(!owned(&GLOBAL));
    assert!(!Heap::owns(std::ptr::null()));
    assert!(!Heap::owns(std::ptr::dangling()));
    assert!(!Heap::owns(std::ptr::without_provenance(usize::MAX)));
    assert!(!Heap::owns((what_it_did_not_allocate_is_not_ours as fn() as *const ()).cast()));
    // Alone: behind a large block of another test a foreign mapping may be in the same granule of the page map.
    isolated("what_it_did_not_allocate_is_not_ours", || {
        for size in [10, 1000, 1 << 20] {
            // SAFETY: malloc has no preconditions.
            let foreign = unsafe { libc::malloc(size) };
            assert!(!foreign.is_null() && !Heap::owns(foreign.cast()), "{size}");
            // SAFETY: allocated just now.
            unsafe { libc::free(foreign) };
        }
    });
}

#[test]
fn freed_large_memory_is_not_ours_any_more() {
    isolated("freed_large_memory_is_not_ours_any_more", || {
        let block = vec![1_u8; 200 << 20].into_boxed_slice();
        let address = block.as_ptr();
        assert!(Heap::owns(address));
        drop(block);
        Heap::purge();
        assert!(!Heap::owns(address));
    });
}

#[test]
fn the_statistics_see_the_blocks() {
    isolated("the_statistics_see_the_blocks", || {
        assert!(!Heap::CLASSES.is_empty());
        let class = Heap::CLASSES.iter().filter(|class| class.size >= 100).min_by_key(|class| class.size);
        let size = u64::from(class.expect("there is a class for 100 bytes").size);
        let live = || {
            let mut live = 0;
            Heap::stats().for_each(|row| live += if row.block_size == size { row.blocks_live } else { 0 });
            live
        };
        let blocks: Vec<Box<[u8; 100]>> = (0..10_000).map(|_| Box::new([1; 100])).collect();
        let with = live();
        assert!(with >= 10_000, "{with} blocks of {size} bytes\n{}", Heap::stats());
        assert!(Heap::stats().json().to_string().contains(&format!("\"size\":{size},")));
        drop(blocks);
        Heap::purge();
        let without = live();
        assert!(without <= with - 9_900, "{with} blocks before, {without} after\n{}", Heap::stats());
    });
}
