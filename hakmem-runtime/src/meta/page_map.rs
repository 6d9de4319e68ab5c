//! The page map: which addresses belong to which allocator.
//!
//! A two-level radix tree over granules of 2 MiB. A lookup of any address takes two loads, makes no system call and
//! does not touch the memory at that address. The root is static (its untouched pages cost nothing); a leaf of 64 KiB
//! describes 16 GiB of address space.

use super::arena;
use super::word::publish_once;
use core::ops::Range;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

/// What one entry describes. Regions and large blocks start at multiples of it.
pub(crate) const GRANULE: usize = 2 << 20;
const GRANULE_SHIFT: u32 = GRANULE.trailing_zeros();
const LEAF_SHIFT: u32 = 13;
const LEAF_ENTRIES: usize = 1 << LEAF_SHIFT;
/// 47 bits of address space: what Linux gives to a process that does not ask for more.
const ROOT_ENTRIES: usize = 1 << (47 - GRANULE_SHIFT - LEAF_SHIFT);

type Leaf = [AtomicU64; LEAF_ENTRIES];

const _: () = assert!(align_of::<Leaf>() <= arena::ALIGN);
const _: () = assert!(size_of::<Leaf>() == 64 << 10 && LEAF_ENTRIES * GRANULE == 16 << 30);

/// The leaves' addresses; 0: no leaf.
static ROOT: [AtomicU64; ROOT_ENTRIES] = [const { AtomicU64::new(0) }; ROOT_ENTRIES];

/// What occupies a granule, and for which allocator. (The owner of a slab is something else: a thread's heap.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Memory that is not ours, or none.
    Nobody,
    /// A region of SuperSlabs of the allocator with this id.
    Region(u8),
    /// The first granule of a large block: its allocator's id, and the bytes of its mapping.
    Large(u8, usize),
    /// A later granule of a large block, or a cached one, of the allocator with this id.
    LargeRest(u8),
}

// An entry: bits 0–1 the kind, bits 8–15 the allocator's id, bits 16–63 the length in units of 64 bytes.
impl Owner {
    fn encode(self) -> u64 {
        match self {
            Owner::Nobody => 0,
            Owner::Region(id) => 1 | u64::from(id) << 8,
            Owner::Large(id, length) => 2 | u64::from(id) << 8 | (length as u64 >> 6) << 16,
            Owner::LargeRest(id) => 3 | u64::from(id) << 8,
        }
    }

    fn decode(entry: u64) -> Owner {
        let id = (entry >> 8) as u8;
        match entry & 3 {
            0 => Owner::Nobody,
            1 => Owner::Region(id),
            2 => Owner::Large(id, (entry >> 16 << 6) as usize),
            _ => Owner::LargeRest(id),
        }
    }
}

/// The leaf at an address that was read from `ROOT` with Acquire; `None` for 0.
fn leaf_at(value: u64) -> Option<&'static Leaf> {
    // SAFETY: a value other than 0 was published by `make_leaf`: the address of zeroed memory in the arena, which is a
    // valid leaf, aligned to 128 and never unmapped. Leaves consist of atomics, so sharing them is sound.
    unsafe { ptr::with_exposed_provenance::<Leaf>(value as usize).as_ref() }
}

/// The leaf at index `root`, created if there is none. `None`: no memory.
fn make_leaf(root: usize) -> Option<&'static Leaf> {
    // If two threads create one, the loser's leaks: 64 KiB of address space, never touched.
    leaf_at(publish_once(ROOT.get(root)?, || arena::allocate(size_of::<Leaf>()) as u64)?)
}

/// The entry of a granule; `None` without a leaf.
fn entry_of(granule: usize) -> Option<&'static AtomicU64> {
    // Acquire pairs with the publication in `make_leaf`: the leaf is zero or what was stored in it since.
    let leaf = leaf_at(ROOT.get(granule >> LEAF_SHIFT)?.load(Ordering::Acquire))?;
    leaf.get(granule & (LEAF_ENTRIES - 1))
}

/// The owner of `address`.
pub(crate) fn owner(address: usize) -> Owner {
    entry_of(address >> GRANULE_SHIFT).map_or(Owner::Nobody, |entry| Owner::decode(entry.load(Ordering::Relaxed)))
}

/// Changes the owner of the granule of `address`, which has a leaf.
pub(crate) fn change(address: usize, owner: Owner) {
    if let Some(entry) = entry_of(address >> GRANULE_SHIFT) {
        entry.store(owner.encode(), Ordering::Relaxed);
    }
}

/// A large block's entry.
#[derive(Debug)]
pub(crate) struct LargeBlock {
    entry: &'static AtomicU64,
    /// The bytes of its mapping.
    pub(crate) length: usize,
}

impl LargeBlock {
    /// [`change`] of its first granule, without another lookup.
    pub(crate) fn change(&self, owner: Owner) {
        self.entry.store(owner.encode(), Ordering::Relaxed);
    }
}

/// The large block of the allocator with this id that starts at `address`, if there is one.
pub(crate) fn large(address: usize, id: u8) -> Option<LargeBlock> {
    let entry = entry_of(address >> GRANULE_SHIFT)?;
    match Owner::decode(entry.load(Ordering::Relaxed)) {
        Owner::Large(of, length) if of == id && address & (GRANULE - 1) == 0 => Some(LargeBlock { entry, length }),
        _ => None,
    }
}

/// Creates the leaves for `[address, address + length)`, so that [`enter`] cannot fail for it. `false`: no memory.
pub(crate) fn prepare(address: usize, length: usize) -> bool {
    let granules = granules(address, length);
    let last = granules.end.wrapping_sub(1) >> LEAF_SHIFT;
    !granules.is_empty() && (granules.start >> LEAF_SHIFT..=last).all(|root| make_leaf(root).is_some())
}

/// Enters `[address, address + length)`: `first` at its first granule, `rest` at the others. `false`: there is no
/// memory for a leaf, and nothing is entered.
pub(crate) fn enter(address: usize, length: usize, first: Owner, rest: Owner) -> bool {
    let prepared = prepare(address, length);
    if prepared {
        write(granules(address, length), first, rest);
    }
    prepared
}

/// Removes `[address, address + length)`.
pub(crate) fn remove(address: usize, length: usize) {
    write(granules(address, length), Owner::Nobody, Owner::Nobody);
}

/// Calls `each` with the length of every large block of the allocator with this id.
pub(crate) fn each_large(id: u8, mut each: impl FnMut(usize)) {
    // Acquire pairs with the publication in `make_leaf`.
    for entry in ROOT.iter().filter_map(|leaf| leaf_at(leaf.load(Ordering::Acquire))).flatten() {
        if let Owner::Large(of, length) = Owner::decode(entry.load(Ordering::Relaxed))
            && of == id
        {
            each(length);
        }
    }
}

/// The granules that `[address, address + length)` touches.
fn granules(address: usize, length: usize) -> Range<usize> {
    let end = address.wrapping_add(length).wrapping_add(GRANULE - 1) >> GRANULE_SHIFT;
    address >> GRANULE_SHIFT..end
}

fn write(granules: Range<usize>, first: Owner, rest: Owner) {
    let mut owner = first;
    for entry in granules.map(entry_of) {
        if let Some(entry) = entry {
            entry.store(owner.encode(), Ordering::Relaxed);
        }
        owner = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_entered_is_found_and_nothing_else() {
        let base = 0x1234_4000_0000;
        let length = 5 * GRANULE + 4096;
        assert_eq!(owner(base), Owner::Nobody);
        assert!(enter(base, length, Owner::Large(7, length), Owner::LargeRest(7)));
        assert_eq!(owner(base), Owner::Large(7, length));
        assert_eq!(owner(base + GRANULE - 1), Owner::Large(7, length));
        assert_eq!(owner(base + GRANULE), Owner::LargeRest(7));
        assert_eq!(owner(base + length - 1), Owner::LargeRest(7));
        assert_eq!(owner(base + 6 * GRANULE), Owner::Nobody);
        assert_eq!(owner(base - 1), Owner::Nobody);
        change(base, Owner::LargeRest(7));
        assert_eq!([owner(base), owner(base + GRANULE)], [Owner::LargeRest(7); 2]);
        remove(base, length);
        assert_eq!(owner(base + GRANULE), Owner::Nobody);
    }

    #[test]
    fn any_address_may_be_asked_for() {
        for address in [0, 1, usize::MAX, 1 << 47, (1 << 47) - 1, usize::MAX / 2] {
            assert_eq!(owner(address), Owner::Nobody);
        }
    }

    #[test]
    fn a_range_over_two_leaves() {
        // The last granule of one leaf and the first of the next.
        let leaf = GRANULE << LEAF_SHIFT;
        let edge = 100 * leaf - GRANULE;
        assert!(enter(edge, 2 * GRANULE, Owner::Region(3), Owner::Region(3)));
        assert_eq!([owner(edge), owner(edge + GRANULE)], [Owner::Region(3); 2]);
        remove(edge, 2 * GRANULE);
    }
}
