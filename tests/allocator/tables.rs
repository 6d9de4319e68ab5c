//! The proof of the tables finds each table that is wrong in one entry, and none in those that the macro emits.

use hakmem::__private::{CompiledSpec, SmallTable, Tables, fault};

hakmem::allocator! {
    struct Default;
}

hakmem::allocator! {
    /// Groups that lie between each other, a header, an alignment that only some classes have.
    struct Mixed {
        [defaults]
        layers = ["unified", "sll"]

        [[class]]
        sizes = [8, 24]

        [[class]]
        sizes = [32, 48, 128]
        layers = ["ring"]
        header = "region-id"

        [[class]]
        sizes = [384, 512]

        [[class]]
        sizes = [1152, 2048]
        layers = ["sll"]

        [[class]]
        sizes = [4096, 8192]
    }
}

hakmem::allocator! {
    struct Only {
        [[class]]
        size = 64
        layers = ["c23"]
    }
}

/// What the tables of an allocator are, to be spoilt.
struct Copies {
    small: SmallTable,
    medium: Vec<u16>,
    by_size: Vec<u8>,
    offsets: Vec<u16>,
}

impl Copies {
    fn of<S: CompiledSpec>() -> Self {
        let (medium, by_size, offsets) = (S::medium().to_vec(), S::by_size().to_vec(), S::offsets().to_vec());
        Self { small: *S::small(), medium, by_size, offsets }
    }

    fn fault<S: CompiledSpec>(&self) -> Option<&'static str> {
        let Self { small, medium, by_size, offsets } = self;
        fault::<S>(Tables { small, medium, by_size, offsets })
    }
}

fn every_wrong_entry_is_found<S: CompiledSpec>() {
    assert_eq!(Copies::of::<S>().fault::<S>(), None);
    let others = |right: u16| S::offsets().iter().copied().chain([u16::MAX, right ^ 1]).filter(move |&o| o != right);
    // The entries that are looked up: the first row, the rows above the alignment of all classes.
    for row in (0..8).filter(|&row| row == 0 || 1 << row > S::SMALL_ALIGN) {
        for entry in 0..=S::SMALL_MAX / 8 {
            for wrong in others(S::small()[row][entry]) {
                let mut copies = Copies::of::<S>();
                copies.small[row][entry] = wrong;
                assert!(copies.fault::<S>().is_some(), "row {row}, entry {entry}: {wrong}");
            }
        }
    }
    for entry in S::SMALL_MAX / S::MEDIUM_GRAIN + 1..S::medium().len() {
        for wrong in others(S::medium()[entry]) {
            let mut copies = Copies::of::<S>();
            copies.medium[entry] = wrong;
            assert!(copies.fault::<S>().is_some(), "medium entry {entry}: {wrong}");
        }
    }
    for class in 0..S::CLASSES.len() {
        let mut copies = Copies::of::<S>();
        copies.offsets[class] ^= 8;
        assert_eq!(copies.fault::<S>(), Some("the offset of a class is not where its group keeps it"));
        let mut copies = Copies::of::<S>();
        copies.by_size[class] ^= 1;
        assert!(copies.fault::<S>().is_some(), "class {class} in the order by size");
    }
}

#[test]
fn every_wrong_entry_of_the_default_is_found() {
    every_wrong_entry_is_found::<Default>();
}

#[test]
fn every_wrong_entry_of_mixed_groups_is_found() {
    every_wrong_entry_is_found::<Mixed>();
    every_wrong_entry_is_found::<Only>();
}
