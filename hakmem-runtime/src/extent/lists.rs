//! Lists of extents of similar lengths, linked through the records of the extents.

use super::bins::bin_of;
use crate::meta::word::Word;
use core::sync::atomic::{AtomicU64, Ordering};

/// How many lists there are: one for each bin of [`LONGEST_LISTED`] units and less.
const LISTS: usize = 64;

/// The longest extent, in units: 4 MiB less 4 KiB.
pub(super) const LONGEST_LISTED: usize = 1023;

/// How many lists are searched: an extent of the last is at most three eighths longer than asked, or half as long again if it
/// is short.
const SEARCHED: usize = 3;

/// The bits of an address, in an address space of 47 bits, in units of 4 KiB.
const ADDRESS_BITS: u32 = 47 - UNIT_SHIFT;
/// The logarithm of the size of a unit. Every page size is a multiple of it.
pub(super) const UNIT_SHIFT: u32 = 12;

/// An extent as a number of 46 bits: its address in the low bits, its length in units above them. 0: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent(u64);

impl Extent {
    const NONE: Extent = Extent(0);

    #[inline]
    fn new(address: usize, length: usize) -> Extent {
        Extent((address >> UNIT_SHIFT) as u64 | (length as u64) << ADDRESS_BITS)
    }

    #[inline]
    fn address(self) -> usize {
        (self.0 as usize & ((1 << ADDRESS_BITS) - 1)) << UNIT_SHIFT
    }

    #[inline]
    fn length(self) -> usize {
        (self.0 >> ADDRESS_BITS) as usize
    }
}

/// What the record of a listed extent holds: the kind in bits 0–2, its length in bits 3–13, and the next extent of its list
/// above them. The kind is that of a held extent, 2, with bit 2 set: other held extents have zeros there.
pub(super) const LISTED: u64 = 6;
const LENGTH_SHIFT: u32 = 3;
const NEXT_SHIFT: u32 = 14;

const _: () = assert!(LONGEST_LISTED < 1 << (NEXT_SHIFT - LENGTH_SHIFT) && ADDRESS_BITS + 11 + NEXT_SHIFT <= u64::BITS);

/// The length in the record of a listed extent.
pub(super) fn length_in(record: u64) -> usize {
    (record >> LENGTH_SHIFT) as usize & ((1 << (NEXT_SHIFT - LENGTH_SHIFT)) - 1)
}

/// An extent that was taken out of a list. The caller owns it.
#[derive(Debug)]
pub struct Listed<'a, W> {
    /// Where it starts.
    pub address: usize,
    /// In units.
    pub length: usize,
    /// Its record.
    pub record: &'a W,
}

/// Extents that nobody uses, for one thread at a time. The words are atomic because the threads may be different ones.
///
/// # Invariants
/// A list is 0 or its first extent, from where the records lead from extent to extent. Bit `i` of `nonempty` is set if list
/// `i` is not empty. `units` is the sum of the lengths.
#[derive(Debug)]
#[repr(C)]
pub struct Lists<W = AtomicU64, const COUNT: usize = LISTS> {
    nonempty: W,
    units: W,
    lists: [W; COUNT],
}

impl Lists {
    /// No extents.
    pub(super) const EMPTY: Lists =
        Lists { nonempty: AtomicU64::new(0), units: AtomicU64::new(0), lists: [const { AtomicU64::new(0) }; LISTS] };
}

impl<W: Word, const COUNT: usize> Lists<W, COUNT> {
    /// Wraps words that hold 0.
    pub fn new(word: impl Fn() -> W) -> Lists<W, COUNT> {
        Lists { nonempty: word(), units: word(), lists: core::array::from_fn(|_| word()) }
    }

    /// How many units there are.
    #[inline]
    pub fn units(&self) -> usize {
        self.units.load(Ordering::Relaxed) as usize
    }

    /// Puts in an extent with this record, which the caller gives up. At most `LONGEST_LISTED` units.
    #[inline(always)]
    pub fn put(&self, address: usize, length: usize, record: &W) {
        let number = bin_of(length) % COUNT;
        let Some(list) = self.lists.get(number) else { return };
        let next = list.load(Ordering::Relaxed);
        record.store(LISTED | (length as u64) << LENGTH_SHIFT | next << NEXT_SHIFT, Ordering::Relaxed);
        list.store(Extent::new(address, length).0, Ordering::Relaxed);
        self.nonempty.store(self.nonempty.load(Ordering::Relaxed) | 1 << number, Ordering::Relaxed);
        self.units.store(self.units.load(Ordering::Relaxed) + length as u64, Ordering::Relaxed);
    }

    /// Takes an extent of at least `wanted` units, and at most half as many again, that starts at a multiple of `align`.
    /// `record_at` finds the record of an extent.
    #[inline(always)]
    pub fn take<'a>(
        &self,
        wanted: usize,
        align: usize,
        record_at: impl Fn(usize) -> Option<&'a W>,
    ) -> Option<Listed<'a, W>>
    where
        W: 'a,
    {
        let first = bin_of(wanted) % COUNT;
        let mut used = self.nonempty.load(Ordering::Relaxed) >> first & ((1 << SEARCHED) - 1);
        while used != 0 {
            let number = first + used.trailing_zeros() as usize;
            let list = self.lists.get(number)?;
            let head = Extent(list.load(Ordering::Relaxed));
            let serves = wanted..=wanted + wanted / 2;
            if serves.contains(&head.length()) && head.address() & align.wrapping_sub(1) == 0 {
                return self.take_first(number, list, head, record_at);
            }
            used &= used - 1;
        }
        None
    }

    /// Takes an extent that is longer than `take` would return.
    pub fn take_longer<'a>(&self, wanted: usize, record_at: impl Fn(usize) -> Option<&'a W>) -> Option<Listed<'a, W>>
    where
        W: 'a,
    {
        self.take_from(bin_of(wanted) + SEARCHED, record_at)
    }

    /// Takes any extent.
    pub fn take_any<'a>(&self, record_at: impl Fn(usize) -> Option<&'a W>) -> Option<Listed<'a, W>>
    where
        W: 'a,
    {
        self.take_from(0, record_at)
    }

    /// Takes an extent of the first list from `first` on that is not empty.
    fn take_from<'a>(&self, first: usize, record_at: impl Fn(usize) -> Option<&'a W>) -> Option<Listed<'a, W>>
    where
        W: 'a,
    {
        let used = self.nonempty.load(Ordering::Relaxed).checked_shr(first as u32).filter(|&used| used != 0)?;
        let number = first + used.trailing_zeros() as usize;
        let list = self.lists.get(number)?;
        self.take_first(number, list, Extent(list.load(Ordering::Relaxed)), record_at)
    }

    /// Takes the extent at the head of a list.
    #[inline(always)]
    fn take_first<'a>(
        &self,
        number: usize,
        list: &W,
        head: Extent,
        record_at: impl Fn(usize) -> Option<&'a W>,
    ) -> Option<Listed<'a, W>>
    where
        W: 'a,
    {
        let (address, length) = (head.address(), head.length());
        let record = record_at(address)?;
        let next = Extent(record.load(Ordering::Relaxed) >> NEXT_SHIFT);
        list.store(next.0, Ordering::Relaxed);
        if next == Extent::NONE {
            self.nonempty.store(self.nonempty.load(Ordering::Relaxed) & !(1 << number), Ordering::Relaxed);
        }
        self.units.store(self.units.load(Ordering::Relaxed) - length as u64, Ordering::Relaxed);
        Some(Listed { address, length, record })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const UNIT: usize = 1 << UNIT_SHIFT;
    const BASE: usize = 0x7000_0000_0000;

    /// The records of so many units from `BASE` on, and the lists.
    struct Units {
        records: Vec<AtomicU64>,
        lists: Lists,
    }

    impl Units {
        fn new() -> Units {
            Units { records: (0..10_000).map(|_| AtomicU64::new(0)).collect(), lists: Lists::EMPTY }
        }

        fn put(&self, unit: usize, length: usize) {
            self.lists.put(BASE + unit * UNIT, length, &self.records[unit]);
            assert_eq!(length_in(self.records[unit].load(Ordering::Relaxed)), length);
        }

        /// The unit and the length of an extent that is taken.
        fn take(&self, length: usize, align: usize) -> Option<(usize, usize)> {
            let record_at = |address| self.records.get((address - BASE) / UNIT);
            let taken = self.lists.take(length, align, record_at)?;
            Some(((taken.address - BASE) / UNIT, taken.length))
        }
    }

    #[test]
    fn an_extent_is_found_by_its_length_and_alignment_once() {
        let units = Units::new();
        units.put(1, 2);
        units.put(8, 2);
        units.put(20, 4);
        assert_eq!([units.take(6, 1), units.take(2, 32 * UNIT)], [None; 2]);
        assert_eq!(units.take(2, 8 * UNIT), Some((8, 2)));
        assert_eq!([units.take(2, 8 * UNIT), units.take(2, UNIT)], [None, Some((1, 2))]);
        assert_eq!((units.lists.units(), units.take(3, UNIT)), (4, Some((20, 4))));
        assert_eq!((units.lists.units(), units.take(3, UNIT)), (0, None));
    }

    #[test]
    fn an_extent_may_be_a_little_longer_than_asked() {
        let units = Units::new();
        for length in [2, 10, 100, LONGEST_LISTED] {
            units.put(1, length);
            assert!([length + 1, length / 2].iter().all(|&wanted| units.take(wanted, 1).is_none()));
            assert_eq!(units.take(length - length / 9, 1), Some((1, length)));
        }
    }

    #[test]
    fn lists_are_last_in_first_out() {
        let units = Units::new();
        (1..=5).for_each(|unit| units.put(unit, 100));
        assert!((1..=5).rev().all(|unit| units.take(100, 1) == Some((unit, 100))));
    }

    #[test]
    fn the_last_page_and_the_longest_extent_fit() {
        let last = (1 << 47) - UNIT;
        let extent = Extent::new(last, LONGEST_LISTED);
        assert_eq!((extent.address(), extent.length(), bin_of(LONGEST_LISTED)), (last, LONGEST_LISTED, LISTS - 1));
    }
}
