//! The most recently freed ranges, one word each, put and taken whole by one compare-and-swap.
//!
//! A program that frees a large block and allocates another of the same length is served from here, without a lock. For
//! any other request the ranges move to the page store, where they are joined and split.

use crate::meta::word::Word;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The most ranges cached. (16 blocks of 1 MiB, allocated and freed in turn: 32 ns a pair without this
/// cache, 18 with it.)
pub(super) const RANGES: usize = 16;

/// Addresses and lengths are in units of 4 KiB; a page of any size is a multiple of that.
const UNIT_SHIFT: u32 = 12;
/// The bits of an address, in an address space of 47 bits.
const ADDRESS_BITS: u32 = 47 - UNIT_SHIFT;
/// The longest range, in units: 2 TiB.
const LONGEST: usize = (1 << (u64::BITS - ADDRESS_BITS)) - 1;

/// Ranges of pages.
///
/// # Invariants
/// A word is 0, or a range that no thread owns: its address in the low bits, its length above them.
/// The thread that replaces the word by 0 owns the range.
///
/// `top % SLOTS` is usually the slot after the range put last, and the first empty one. It is a hint: only the number
/// of slots that a call examines depends on it.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct ExactCache<W = AtomicU64, const SLOTS: usize = RANGES> {
    words: [W; SLOTS],
    top: AtomicUsize,
}

const _: () = assert!(offset_of!(ExactCache, top) == 128, "the words are two cache lines of their own");

/// A range as a word.
fn pack(address: usize, length: usize) -> u64 {
    (address >> UNIT_SHIFT) as u64 | ((length >> UNIT_SHIFT) as u64) << ADDRESS_BITS
}

fn address(word: u64) -> usize {
    (word as usize & ((1 << ADDRESS_BITS) - 1)) << UNIT_SHIFT
}

fn length(word: u64) -> usize {
    (word >> ADDRESS_BITS << UNIT_SHIFT) as usize
}

impl ExactCache {
    /// No ranges.
    pub(super) const fn empty() -> ExactCache {
        ExactCache { words: [const { AtomicU64::new(0) }; RANGES], top: AtomicUsize::new(0) }
    }
}

impl<W: Word, const SLOTS: usize> ExactCache<W, SLOTS> {
    /// Wraps words that hold 0.
    pub fn new(word: impl Fn() -> W) -> ExactCache<W, SLOTS> {
        ExactCache { words: core::array::from_fn(|_| word()), top: AtomicUsize::new(0) }
    }

    /// Puts in a range, which the caller owns. `false`: there is no empty slot, or it is too long.
    #[inline]
    pub fn put(&self, address: usize, length: usize) -> bool {
        if length >> UNIT_SHIFT > LONGEST {
            return false;
        }
        let range = pack(address, length);
        let top = self.top.load(Ordering::Relaxed);
        // Release: a thread that takes the range may write to it, after everything that its last owner did there.
        let put = self.replace_first(top, 1, |word| word == 0, range, Ordering::Release);
        if let Some((slot, _)) = put {
            self.top.store(slot.wrapping_add(1), Ordering::Relaxed);
        }
        put.is_some()
    }

    /// Puts in the range of a block that was freed. `record` says what the range is: from now on, that it is `held`.
    /// `false`: it is not in the cache, and still the caller's.
    #[inline]
    pub fn put_block(&self, record: &W, held: u64, address: usize, length: usize) -> bool {
        // Before another thread can take the range, and write its own record. And a second free, by whichever thread,
        // must find no block from now on, as far as it can know of the first.
        record.store(held, Ordering::Relaxed);
        self.put(address, length)
    }

    /// Takes a range of exactly this length that starts at a multiple of `align`. 0: there is none.
    #[inline]
    pub fn take(&self, wanted: usize, align: usize) -> usize {
        let serves = |range: u64| range != 0 && length(range) == wanted && address(range) & align.wrapping_sub(1) == 0;
        self.take_first(serves).map_or(0, address)
    }

    /// Takes any range: its address and length.
    pub fn take_any(&self) -> Option<(usize, usize)> {
        self.take_first(|range| range != 0).map(|range| (address(range), length(range)))
    }

    #[inline]
    fn take_first(&self, serves: impl Fn(u64) -> bool) -> Option<u64> {
        let top = self.top.load(Ordering::Relaxed);
        // No ABA problem: the word describes the range completely. If it was taken and put back since it was loaded, it
        // still serves.
        let (slot, range) = self.replace_first(top.wrapping_sub(1), usize::MAX, serves, 0, Ordering::Acquire)?;
        self.top.store(slot, Ordering::Relaxed);
        Some(range)
    }

    /// Replaces the first word that `serves` by `new`, looking from slot `start` on in steps of `step` (1 or −1).
    /// Returns the slot and the word that was there.
    #[inline]
    fn replace_first(
        &self,
        start: usize,
        step: usize,
        serves: impl Fn(u64) -> bool,
        new: u64,
        order: Ordering,
    ) -> Option<(usize, u64)> {
        // If the exchange fails, even spuriously, the next slot is tried.
        let replace = |slot: usize| {
            let word = self.words.get(slot % SLOTS)?;
            let old = word.load(Ordering::Relaxed);
            let replaced = serves(old) && word.compare_exchange_weak(old, new, order, Ordering::Relaxed).is_ok();
            replaced.then_some((slot, old))
        };
        replace(start).or_else(|| Self::try_others(start, step, replace))
    }

    #[cold]
    #[inline(never)]
    fn try_others<R>(start: usize, step: usize, replace: impl Fn(usize) -> Option<R>) -> Option<R> {
        (1..SLOTS).find_map(|distance| replace(start.wrapping_add(step.wrapping_mul(distance))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::page_map::GRANULE;

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
    fn slots_are_limited_and_reused() {
        let exact = ExactCache::empty();
        for _ in 0..3 {
            let put = (0..).take_while(|&index| exact.put(BASE + index * GRANULE, 4096)).count();
            assert_eq!(put, RANGES);
            while exact.take_any().is_some() {}
        }
    }

    #[test]
    fn the_last_page_and_the_longest_range_fit() {
        let (last, longest) = ((1 << 47) - 4096, LONGEST << UNIT_SHIFT);
        let exact = ExactCache::empty();
        assert!(exact.put(last, longest) && !exact.put(4096, longest + 4096));
        assert_eq!(exact.take_any(), Some((last, longest)));
    }
}
