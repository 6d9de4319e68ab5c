//! The macro's forms, several allocators in one program, the crate under other names, and what a generated type offers.

use crate::blocks::{Piece, Subject, is_all, subjects};
use std::alloc::{GlobalAlloc, Layout};
use std::ptr;

// The crate under other names, `other` at the binary's root: the macro's expansion finds it all the same.
use hakmem as renamed;

// Two of them in one module.
hakmem::allocator! {
    /// The default spec.
    pub(crate) struct Heap;
}

renamed::allocator! {
    /// Attributes and comments are the type's.
    #[derive(PartialEq, Eq, Hash)]
    struct SecondHeap {
        # A comment, as TOML has them.
        [[class]]
        size = 64
    }
}

mod outer {
    pub(crate) mod inner {
        other::allocator! {
            pub(crate) struct Heap = "tests/allocator/forms.toml";
        }
    }

    pub(crate) use inner::Heap as FromFile;

    hakmem::allocator! {
        /// A name that another module has, too.
        pub(crate) struct Heap {
            huge_pages = true

            [superslab]
            size = "4 MiB"
            slab = "64 KiB"

            [purge]
            delay_ms = 10

            [large]
            cache = "1 MiB"

            [defaults]
            layers = ["unified"]
            batch = 8
            unified = { capacity = 16 }

            [[class]]
            sizes = { from = 16, to = 128, step = 16 }

            [[class]]
            size = 256
            align = 256
            specialise = false

            [[class]]
            size = "100 KiB"
            layers = ["unified", "sll"]
            unified = { capacity = 2 }
            batch = 1
            slab_units = 7
        }
    }
}

subjects!(Heap, SecondHeap, outer::FromFile, outer::Heap);

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a power of two")
}

/// All four methods, on small and large blocks.
fn works<A: Subject>() {
    for size in [1, 16, 64, 100, 256, 1000, 48 * 1024, 100 * 1024, 1 << 20] {
        for align in [1, 8, 64, 256, 4096] {
            let mut piece = Piece::<A>::new(layout(size, align), 1, true);
            piece.resize(size * 2 + 7);
            drop(Piece::<A>::new(layout(size, align), 2, false));
        }
    }
}

#[test]
fn every_form_works() {
    works::<Heap>();
    works::<SecondHeap>();
    works::<outer::FromFile>();
    works::<outer::Heap>();
}

#[test]
fn allocators_do_not_share_memory() {
    let owners: [fn(*const u8) -> bool; 4] = [Heap::owns, SecondHeap::owns, outer::FromFile::owns, outer::Heap::owns];
    let heaps: [&dyn GlobalAlloc; 4] = [&Heap, &SecondHeap, &outer::FromFile, &outer::Heap];
    for size in [10, 1 << 20] {
        for (number, heap) in heaps.iter().enumerate() {
            // SAFETY: the size is not 0; the block is freed with the layout and allocator that it came from.
            unsafe {
                let block = heap.alloc(layout(size, 8));
                let owned = owners.map(|owns| owns(block));
                heap.dealloc(block, layout(size, 8));
                assert_eq!(owned, [0, 1, 2, 3].map(|other| other == number), "{size} bytes of allocator {number}");
            }
        }
    }
}

#[test]
fn the_type_is_a_unit_that_can_be_copied_compared_and_shown() {
    let heap = SecondHeap;
    let copy = heap;
    assert_eq!(heap, copy);
    assert_eq!(format!("{:?}", SecondHeap), "SecondHeap");
    assert_eq!(size_of::<SecondHeap>(), 0);
}

/// The geometry's rule: blocks and what is left fill the slabs.
fn check_classes(classes: &[hakmem::Class], slab: u32) {
    for class in classes {
        assert!(class.blocks >= 1 && class.batch >= 1 && !class.layers.is_empty(), "{class:?}");
        assert_eq!(class.blocks * class.size + class.slack, class.slabs * slab, "{class:?}");
        // The runtime has a bit for each 16 bytes of a slab, so smaller blocks leave a part of it unused.
        assert!(class.size < 16 || class.slack < class.size, "{class:?}");
        assert_eq!(class.size % class.align, 0, "{class:?}");
        assert!(class.align.is_power_of_two(), "{class:?}");
    }
}

#[test]
fn the_classes_are_those_of_the_spec() {
    check_classes(Heap::CLASSES, 64 << 10);
    check_classes(SecondHeap::CLASSES, 64 << 10);
    check_classes(outer::FromFile::CLASSES, 32 << 10);
    check_classes(outer::Heap::CLASSES, 64 << 10);
    let sizes = |classes: &[hakmem::Class]| {
        let mut sizes: Vec<u32> = classes.iter().map(|class| class.size).collect();
        sizes.sort_unstable();
        sizes
    };
    assert_eq!(sizes(SecondHeap::CLASSES), [64]);
    assert_eq!(sizes(outer::FromFile::CLASSES), [32, 96, 1024, 48 << 10]);
    assert_eq!(sizes(outer::Heap::CLASSES), [16, 32, 48, 64, 80, 96, 112, 128, 256, 100 << 10]);
    let of = |size| outer::Heap::CLASSES.iter().find(|class| class.size == size).expect("a class of the spec");
    assert_eq!((of(256).align, of(256).layers, of(256).batch), (256, &["unified"][..], 8));
    let large = of(100 << 10);
    assert_eq!((large.slabs, large.blocks, large.layers, large.batch), (7, 4, &["unified", "sll"][..], 1));
}

#[test]
fn the_table_has_a_row_a_class() {
    let table = Heap::classes().to_string();
    let mut classes = Heap::CLASSES.to_vec();
    classes.sort_unstable_by_key(|class| class.size);
    let rows: Vec<&str> = table.lines().skip(1).collect();
    assert_eq!(rows.len(), classes.len(), "{table}");
    for (row, class) in rows.into_iter().zip(classes) {
        let first: Vec<&str> = row.split_whitespace().take(2).collect();
        assert_eq!(first, [class.size.to_string(), class.align.to_string()], "{row}");
        assert!(row.ends_with(&format!(" {}", class.layers.join(" → "))), "{row}");
    }
}

/// Reads a value of JSON as far as the statistics use it (objects, arrays, whole numbers), and returns the rest.
fn value(json: &str) -> &str {
    match json.as_bytes().first() {
        Some(b'{') => list(&json[1..], '}', field),
        Some(b'[') => list(&json[1..], ']', value),
        Some(b'0'..=b'9') => json.trim_start_matches(|letter: char| letter.is_ascii_digit()),
        _ => panic!("no value at {json:?}"),
    }
}

fn field(json: &str) -> &str {
    let (name, rest) = json.strip_prefix('"').and_then(|rest| rest.split_once("\":")).expect(json);
    assert!(name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'), "{name}");
    value(rest)
}

fn list(mut json: &str, end: char, item: fn(&str) -> &str) -> &str {
    if let Some(rest) = json.strip_prefix(end) {
        return rest;
    }
    loop {
        json = item(json);
        if let Some(rest) = json.strip_prefix(end) {
            return rest;
        }
        json = json.strip_prefix(',').expect(json);
    }
}

#[test]
fn statistics_are_json_and_a_table() {
    mod counted {
        hakmem::allocator! {
            pub(super) struct Heap {
                [[class]]
                sizes = [64, 128]
            }
        }
    }
    subjects!(counted::Heap);
    assert_eq!(counted::Heap::stats().json().to_string(), "{\"classes\":[]}");
    let pieces: Vec<Piece<counted::Heap>> = (0..100).map(|_| Piece::new(layout(50, 8), 1, false)).collect();
    let json = counted::Heap::stats().json().to_string();
    assert_eq!(value(&json), "", "{json}");
    assert!(json.contains("\"size\":64") && !json.contains("\"size\":128"), "{json}");
    let mut rows = Vec::new();
    counted::Heap::stats().for_each(|row| rows.push(row));
    let [small, large] = rows[..] else { panic!("{rows:?}") };
    assert_eq!((small.block_size, large.block_size, large.slabs, large.blocks_live), (64, 128, 0, 0));
    assert_eq!((small.slabs, small.bytes_reserved), (1, 64 << 10));
    // The front keeps a batch at most.
    assert!((100..=164).contains(&small.blocks_live) && small.blocks_live <= small.blocks_carved, "{small:?}");
    assert_eq!(small.bytes_committed, small.blocks_carved * 64);
    let table = counted::Heap::stats().to_string();
    assert_eq!(table.lines().count(), 3, "a heading, a class in use, a sum:\n{table}");
    assert!(table.lines().nth(1).is_some_and(|row| row.trim_start().starts_with("64 ")), "{table}");
    drop(pieces);
    counted::Heap::purge();
    assert_eq!(counted::Heap::stats().json().to_string(), "{\"classes\":[]}");
}

#[test]
fn prewarming_fills_the_front() {
    mod warm {
        hakmem::allocator! {
            pub(super) struct Heap;
        }
    }
    let carved = || {
        let mut carved = 0;
        warm::Heap::stats().for_each(|row| carved += row.blocks_carved);
        carved
    };
    assert_eq!(carved(), 0);
    assert!(warm::Heap::prewarm(layout(100, 8)));
    let before = carved();
    assert!(before > 0);
    // SAFETY: the size is not 0; the block is freed with the layout that it came with.
    unsafe {
        let block = warm::Heap.alloc(layout(100, 8));
        assert_eq!(carved(), before, "a hit");
        warm::Heap.dealloc(block, layout(100, 8));
    }
    assert!(warm::Heap::prewarm(layout(1 << 20, 8)), "a large block can be had, too");
    assert!(!warm::Heap::prewarm(layout(isize::MAX as usize - 4096, 1)));
}

#[test]
fn realloc_in_a_class_stays_in_place() {
    // SAFETY: the sizes are not 0; the block is freed with the layout that it last had.
    unsafe {
        let block = SecondHeap.alloc(layout(1, 1));
        block.write(9);
        for (from, to) in [(1, 64), (64, 30), (30, 31)] {
            assert!(ptr::eq(SecondHeap.realloc(block, layout(from, 1), to), block));
        }
        let large = SecondHeap.realloc(block, layout(31, 1), 100);
        assert!(is_all(std::slice::from_raw_parts(large, 1), 9));
        SecondHeap.dealloc(large, layout(100, 1));
    }
}

#[test]
fn layouts_of_one_class_are_interchangeable() {
    // What `GlobalAlloc` demands is more: the very same layout. But C's callers, and `Vec`'s, live from this.
    // SAFETY: both sizes are of the only class.
    unsafe {
        let block = SecondHeap.alloc(layout(10, 8));
        SecondHeap.dealloc(block, layout(60, 8));
    }
}
