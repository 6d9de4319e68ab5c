//! The ranges freed last, one word each: put and taken whole, by one compare-and-swap, without the lock.
//!
//! A program that frees a large block and asks for as much again finds it here. For anything else the ranges are gathered
//! and go to where they can be joined and cut (`kept.rs`).

use crate::meta::page_map::GRANULE;
use crate::meta::word::Word;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Ranges at most: two cache lines. (16 blocks of 1 MiB, allocated and freed in turn: 32 ns a pair without them, 18 with.)
pub(super) const RANGES: usize = 16;

/// A range's length is in units of 4 KiB, of which a page of any size is a multiple.
const UNIT_SHIFT: u32 = 12;
/// The bits of its first granule's number, in an address space of 47 bits.
const GRANULE_BITS: u32 = 47 - GRANULE.trailing_zeros();

/// Ranges that start at a granule.
///
/// # Invariants
/// A word is 0, or a range that nobody else has: the number of its first granule in the low bits, its length above them.
/// The place that `top` names, modulo their number, is most often the first without a range: where one is put next, and above
/// where the exact is. Nothing depends on it but how many places are looked at.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct ExactCache<W = AtomicU64, const PLACES: usize = RANGES> {
    words: [W; PLACES],
    top: AtomicUsize,
}

/// A range as a word; the caller knows that `address` is a granule's and below 2⁴⁷.
fn pack(address: usize, length: usize) -> u64 {
    (address >> GRANULE.trailing_zeros()) as u64 | ((length >> UNIT_SHIFT) as u64) << GRANULE_BITS
}

fn address(word: u64) -> usize {
    (word as usize & ((1 << GRANULE_BITS) - 1)) << GRANULE.trailing_zeros()
}

fn length(word: u64) -> usize {
    (word >> GRANULE_BITS << UNIT_SHIFT) as usize
}

impl ExactCache {
    /// No ranges.
    pub(super) const fn empty() -> ExactCache {
        ExactCache { words: [const { AtomicU64::new(0) }; RANGES], top: AtomicUsize::new(0) }
    }
}

impl<W: Word, const PLACES: usize> ExactCache<W, PLACES> {
    /// Wraps words that hold 0.
    pub fn new(word: impl Fn() -> W) -> ExactCache<W, PLACES> {
        ExactCache { words: core::array::from_fn(|_| word()), top: AtomicUsize::new(0) }
    }

    /// Keeps a range that starts at a granule. `false` without a place for it.
    #[inline]
    pub fn put(&self, address: usize, length: usize) -> bool {
        let range = pack(address, length);
        let top = self.top.load(Ordering::Relaxed);
        // Release: whoever takes the range may write to it after what its last owner did there.
        let place = self.first(top, 1, |word| word == 0, range, Ordering::Release);
        if let Some((place, _)) = place {
            self.top.store(place.wrapping_add(1), Ordering::Relaxed);
        }
        place.is_some()
    }

    /// The address of a range of this length, at a multiple of `align`, which is its taker's from now on; 0 without one.
    #[inline]
    pub fn take(&self, wanted: usize, align: usize) -> usize {
        let serves = |range: u64| range != 0 && length(range) == wanted && address(range) & align.wrapping_sub(1) == 0;
        self.take_first(serves).map_or(0, address)
    }

    /// Any range, address and length.
    pub(super) fn take_any(&self) -> Option<(usize, usize)> {
        self.take_first(|range| range != 0).map(|range| (address(range), length(range)))
    }

    #[inline]
    fn take_first(&self, serves: impl Fn(u64) -> bool) -> Option<u64> {
        let top = self.top.load(Ordering::Relaxed);
        // The word says all about the range: if it has come and gone meanwhile, it is as good.
        let (place, range) = self.first(top.wrapping_sub(1), usize::MAX, serves, 0, Ordering::Acquire)?;
        self.top.store(place, Ordering::Relaxed);
        Some(range)
    }

    /// Writes `new` to the first place, from `start` on by `step`, whose word `serves`. The place, and what was there.
    #[inline]
    fn first(
        &self,
        start: usize,
        step: usize,
        serves: impl Fn(u64) -> bool,
        new: u64,
        order: Ordering,
    ) -> Option<(usize, u64)> {
        // Who fails, even spuriously, tries the next place.
        let exchange = |place: usize| {
            let word = self.words.get(place % PLACES)?;
            let old = word.load(Ordering::Relaxed);
            let found = serves(old) && word.compare_exchange_weak(old, new, order, Ordering::Relaxed).is_ok();
            found.then_some((place, old))
        };
        exchange(start).or_else(|| Self::others(start, step, exchange))
    }

    #[cold]
    #[inline(never)]
    fn others<R>(start: usize, step: usize, exchange: impl Fn(usize) -> Option<R>) -> Option<R> {
        (1..PLACES).find_map(|distance| exchange(start.wrapping_add(step.wrapping_mul(distance))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: usize = 0x7000_0000_0000;

    #[test]
    fn a_range_is_found_by_its_length_and_alignment_once() {
        let exact = ExactCache::empty();
        assert!(exact.put(BASE + GRANULE, GRANULE / 2) && exact.put(BASE + 2 * GRANULE, 3 * GRANULE));
        assert!(exact.put(BASE + 8 * GRANULE, GRANULE / 2));
        assert_eq!(exact.take(GRANULE, 1), 0);
        assert_eq!(exact.take(GRANULE / 2, 8 * GRANULE), BASE + 8 * GRANULE);
        assert_eq!(exact.take(GRANULE / 2, 8 * GRANULE), 0);
        assert_eq!(exact.take(GRANULE / 2, 4096), BASE + GRANULE);
        assert_eq!(exact.take_any(), Some((BASE + 2 * GRANULE, 3 * GRANULE)));
        assert_eq!(exact.take_any(), None);
    }

    #[test]
    fn places_are_limited_and_used_again() {
        let exact = ExactCache::empty();
        for _ in 0..3 {
            let put = (0..).take_while(|&index| exact.put(BASE + index * GRANULE, 4096)).count();
            assert_eq!(put, RANGES);
            while exact.take_any().is_some() {}
        }
    }

    #[test]
    fn the_last_granule_and_the_longest_range_fit() {
        let (last, longest) = ((1 << 47) - GRANULE, (1 << 47) - 4096);
        let exact = ExactCache::empty();
        assert!(exact.put(last, longest));
        assert_eq!(exact.take_any(), Some((last, longest)));
    }
}
