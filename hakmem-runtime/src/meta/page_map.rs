//! the page map: which addresses are ours.
//!
//! A radix tree of two levels over granules of 2 MiB answers for any address in two loads, without a system call and
//! without touching the memory asked about. The root is static (its untouched pages cost nothing), a leaf of 64 KiB
//! describes 16 GiB of address space.

use super::arena;
use super::word::publish_once;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

/// What one entry describes. A region's base and a large block's base are multiples of it.
pub(crate) const GRANULE: usize = 2 << 20;
const GRANULE_SHIFT: u32 = GRANULE.trailing_zeros();
const LEAF_SHIFT: u32 = 13;
const LEAF_ENTRIES: usize = 1 << LEAF_SHIFT;
/// 47 bits of address space: what Linux gives to a process that does not ask for more.
const ROOT_ENTRIES: usize = 1 << (47 - GRANULE_SHIFT - LEAF_SHIFT);

type Leaf = [AtomicU64; LEAF_ENTRIES];

/// The leaves' addresses; 0 where there is none.
static ROOT: [AtomicU64; ROOT_ENTRIES] = [const { AtomicU64::new(0) }; ROOT_ENTRIES];

/// What is at a granule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Nothing of ours.
    Nobody,
    /// A region of SuperSlabs of the allocator with this id.
    Region(u8),
    /// The first granule of a large block: its allocator's id and its mapping's bytes.
    Large(u8, usize),
    /// A later granule of a large block.
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

/// The entry of the granule that `address` is in; `None` without a leaf.
fn entry(address: usize) -> Option<&'static AtomicU64> {
    let granule = address >> GRANULE_SHIFT;
    // Acquire pairs with the publication: the leaf is seen whole.
    let leaf = ROOT.get(granule >> LEAF_SHIFT)?.load(Ordering::Acquire);
    // SAFETY: a leaf that is not null was published whole and lives for ever.
    let leaf: &'static Leaf = unsafe { ptr::with_exposed_provenance::<Leaf>(leaf as usize).as_ref() }?;
    leaf.get(granule & (LEAF_ENTRIES - 1))
}

/// Who owns `address`.
pub(crate) fn owner(address: usize) -> Owner {
    entry(address).map_or(Owner::Nobody, |entry| Owner::decode(entry.load(Ordering::Relaxed)))
}

/// Changes what is entered at the granule of `address`, which is something.
pub(crate) fn change(address: usize, owner: Owner) {
    if let Some(entry) = entry(address) {
        entry.store(owner.encode(), Ordering::Relaxed);
    }
}

/// A large block as it is entered.
#[derive(Debug)]
pub(crate) struct LargeBlock {
    entry: &'static AtomicU64,
    /// Its mapping's bytes.
    pub(crate) length: usize,
}

impl LargeBlock {
    /// As the function of this name, without another look-up.
    pub(crate) fn change(&self, owner: Owner) {
        self.entry.store(owner.encode(), Ordering::Relaxed);
    }
}

/// The large block of the allocator with this id that starts at `address`, if there is one.
pub(crate) fn large(address: usize, id: u8) -> Option<LargeBlock> {
    let entry = entry(address)?;
    match Owner::decode(entry.load(Ordering::Relaxed)) {
        Owner::Large(of, length) if of == id && address & (GRANULE - 1) == 0 => Some(LargeBlock { entry, length }),
        _ => None,
    }
}

/// Enters `[address, address + length)` with `first` at its first granule and `rest` at the others. `false` when
/// there is no memory for a leaf; nothing is entered then.
pub(crate) fn enter(address: usize, length: usize, first: Owner, rest: Owner) -> bool {
    let granules = granules(address, length);
    let (Some(low), Some(high)) = (granules.clone().next(), granules.clone().next_back()) else { return false };
    // First make room for all, so that a failure leaves no half of it.
    for root in low >> LEAF_SHIFT..=high >> LEAF_SHIFT {
        if leaf(root).is_none() {
            return false;
        }
    }
    write(granules, first, rest);
    true
}

/// Removes `[address, address + length)`.
pub(crate) fn remove(address: usize, length: usize) {
    write(granules(address, length), Owner::Nobody, Owner::Nobody);
}

/// Calls `each` with the length of every large block of the allocator with this id.
pub(crate) fn each_large(id: u8, mut each: impl FnMut(usize)) {
    for leaf in &ROOT {
        // Acquire as in `owner`.
        let leaf = ptr::with_exposed_provenance::<Leaf>(leaf.load(Ordering::Acquire) as usize);
        // SAFETY: as in `owner`.
        for entry in unsafe { leaf.as_ref() }.into_iter().flatten() {
            if let Owner::Large(of, length) = Owner::decode(entry.load(Ordering::Relaxed))
                && of == id
            {
                each(length);
            }
        }
    }
}

fn granules(address: usize, length: usize) -> core::ops::Range<usize> {
    let end = address.wrapping_add(length).wrapping_add(GRANULE - 1) >> GRANULE_SHIFT;
    address >> GRANULE_SHIFT..end
}

fn write(granules: core::ops::Range<usize>, first: Owner, rest: Owner) {
    let mut value = first;
    for granule in granules {
        if let Some(entry) = leaf(granule >> LEAF_SHIFT).and_then(|leaf| leaf.get(granule & (LEAF_ENTRIES - 1))) {
            entry.store(value.encode(), Ordering::Relaxed);
        }
        value = rest;
    }
}

/// The leaf at `root`, made if there is none.
fn leaf(root: usize) -> Option<&'static Leaf> {
    // The arena's memory is zero, which is an empty leaf. A loser of the race leaves its leaf unused: 64 KiB of address
    // space, never touched.
    let leaf = publish_once(ROOT.get(root)?, || arena::allocate(size_of::<Leaf>()) as u64)?;
    // SAFETY: published, initialised, never freed.
    Some(unsafe { &*ptr::with_exposed_provenance::<Leaf>(leaf as usize) })
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
