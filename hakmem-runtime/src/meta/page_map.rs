//! The page map: which addresses belong to which allocator.
//!
//! A two-level radix tree over granules of 2 MiB. A lookup of any address takes two loads, makes no system call and
//! does not touch the memory at that address. The root is static (its untouched pages cost nothing); a leaf of 64 KiB
//! describes 16 GiB of address space.

use super::arena;
use super::word::{Word, publish_once};
use crate::sys::mmap;
use core::ops::Range;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

/// What one entry describes. Regions and segments consist of whole granules.
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

/// What occupies a granule, and for which allocator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occupant {
    /// Memory that is not ours, or none.
    None,
    /// A region of SuperSlabs of the allocator with this id.
    Region(u8),
    /// A segment of large blocks, of the allocator with this id, which starts at this address.
    Segment(u8, usize),
}

// An entry: bits 0–1 the kind, bits 8–15 the allocator's id, bits 21–63 the segment's first granule.
impl Occupant {
    fn encode(self) -> u64 {
        match self {
            Occupant::None => 0,
            Occupant::Region(id) => 1 | u64::from(id) << 8,
            Occupant::Segment(id, base) => 2 | u64::from(id) << 8 | base as u64,
        }
    }

    fn decode(entry: u64) -> Occupant {
        let id = (entry >> 8) as u8;
        match entry & 3 {
            0 => Occupant::None,
            1 => Occupant::Region(id),
            _ => Occupant::Segment(id, entry as usize & !(GRANULE - 1)),
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

/// What occupies the granule of `address`.
pub(crate) fn occupant_of(address: usize) -> Occupant {
    entry_of(address >> GRANULE_SHIFT).map_or(Occupant::None, |entry| Occupant::decode(entry.load(Ordering::Relaxed)))
}

/// Enters `occupant` for the granules of `[address, address + length)`, which is not empty. `false`: there is no memory for
/// a leaf, and nothing is entered.
fn enter(address: usize, length: usize, occupant: Occupant) -> bool {
    let granules = granules(address, length);
    let last = granules.end.wrapping_sub(1) >> LEAF_SHIFT;
    let prepared = (granules.start >> LEAF_SHIFT..=last).all(|root| make_leaf(root).is_some());
    if prepared {
        write(granules, occupant);
    }
    prepared
}

/// [`enter`] of a new mapping, which is unmapped if that fails.
pub(crate) fn enter_or_unmap(address: usize, length: usize, occupant: Occupant) -> bool {
    let entered = enter(address, length, occupant);
    if !entered {
        mmap::unmap(address, length);
    }
    entered
}

/// Removes `[address, address + length)`, whole granules of one occupant, and unmaps it. `false`: the kernel refused, and
/// all is as it was.
pub(crate) fn unmap(address: usize, length: usize) -> bool {
    retract(granules(address, length).filter_map(entry_of), || mmap::unmap(address, length))
}

/// Stores `value` in the entries of an occupant. Its blocks are handed out after this.
pub fn publish<'a, W: Word + 'a>(entries: impl Iterator<Item = &'a W>, value: u64) {
    // Relaxed: who asks for a block's address has got it from the thread that was handed the block, and with it all that
    // was written before. Of what was unmapped and mapped again, the kernel orders one before the other.
    entries.for_each(|entry| entry.store(value, Ordering::Relaxed));
}

/// Clears the entries of one occupant and then calls `unmap`: once that is done, the addresses may be anyone's, and the
/// entries be published again. `false`: it was refused, and all is as it was.
pub fn retract<'a, W: Word + 'a>(entries: impl Iterator<Item = &'a W> + Clone, unmap: impl FnOnce() -> bool) -> bool {
    let occupant = entries.clone().next().map_or(0, |entry| entry.load(Ordering::Relaxed));
    publish(entries.clone(), Occupant::None.encode());
    let unmapped = unmap();
    if !unmapped {
        publish(entries, occupant);
    }
    unmapped
}

/// The granules that `[address, address + length)` touches.
fn granules(address: usize, length: usize) -> Range<usize> {
    let end = address.wrapping_add(length).wrapping_add(GRANULE - 1) >> GRANULE_SHIFT;
    address >> GRANULE_SHIFT..end
}

fn write(granules: Range<usize>, occupant: Occupant) {
    publish(granules.filter_map(entry_of), occupant.encode());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_entered_is_found_and_nothing_else() {
        let base = 0x1234_4000_0000;
        let length = 5 * GRANULE + 4096;
        assert_eq!(occupant_of(base), Occupant::None);
        assert!(enter(base, length, Occupant::Segment(7, base)));
        for address in [base, base + GRANULE - 1, base + GRANULE, base + length - 1] {
            assert_eq!(occupant_of(address), Occupant::Segment(7, base));
        }
        assert_eq!(occupant_of(base + 6 * GRANULE), Occupant::None);
        assert_eq!(occupant_of(base - 1), Occupant::None);
        write(granules(base, length), Occupant::None);
        assert_eq!([occupant_of(base), occupant_of(base + GRANULE)], [Occupant::None; 2]);
    }

    #[test]
    fn any_address_may_be_asked_for() {
        for address in [0, 1, usize::MAX, 1 << 47, (1 << 47) - 1, usize::MAX / 2] {
            assert_eq!(occupant_of(address), Occupant::None);
        }
    }

    #[test]
    fn what_has_more_than_47_bits_is_foreign_and_cannot_be_entered() {
        let base = 0x2345_4000_0000;
        assert!(enter(base, GRANULE, Occupant::Segment(7, base)));
        for bit in 47..64 {
            assert_eq!(occupant_of(base | 1 << bit), Occupant::None, "bit {bit}");
        }
        write(granules(base, GRANULE), Occupant::None);
        // The first granule beyond, and the last one before together with it.
        for (start, length) in [(1 << 47, GRANULE), ((1 << 47) - GRANULE, 2 * GRANULE), (1 << 48, GRANULE)] {
            assert!(!enter(start, length, Occupant::Segment(7, start)));
            assert_eq!(occupant_of(start), Occupant::None);
        }
        let last = (1 << 47) - GRANULE;
        assert!(enter(last, GRANULE, Occupant::Segment(7, last)));
        assert_eq!(occupant_of((1 << 47) - 1), Occupant::Segment(7, last));
        write(granules(last, GRANULE), Occupant::None);
    }

    #[test]
    fn a_range_over_two_leaves() {
        // The last granule of one leaf and the first of the next.
        let leaf = GRANULE << LEAF_SHIFT;
        let edge = 100 * leaf - GRANULE;
        assert!(enter(edge, 2 * GRANULE, Occupant::Region(3)));
        assert_eq!([occupant_of(edge), occupant_of(edge + GRANULE)], [Occupant::Region(3); 2]);
        write(granules(edge, 2 * GRANULE), Occupant::None);
    }
}
