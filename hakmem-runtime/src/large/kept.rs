//! Freed mappings, kept for a while: ranges of address space with their memory still behind them.
//!
//! Neighbours are joined, and a request is cut from the front of a range that is longer. So what was one block can become
//! many, and the other way round; and a block grows into the range behind it without a system call or a page fault.

use crate::os::memory::round_up;
use crate::os::registry::GRANULE;

/// Ranges kept at most.
const RANGES: usize = 16;

/// A range serves a request as a whole if it is at most this fraction (1/4) longer.
pub(super) const SLACK: usize = 4;

/// A range of kept memory. Length 0 is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) address: usize,
    pub(super) length: usize,
    /// When it was freed, in milliseconds; of joined ones, when the longer was.
    pub(super) since: u32,
}

pub(super) const NONE: Range = Range { address: 0, length: 0, since: 0 };

/// The kept ranges.
///
/// # Invariants
/// Ranges start at a multiple of the granule, no two are in one granule, and none ends where another starts. `bytes` is
/// the sum of all lengths.
#[derive(Debug)]
pub(super) struct Kept {
    ranges: [Range; RANGES],
    pub(super) bytes: usize,
}

impl Kept {
    pub(super) const NOTHING: Kept = Kept { ranges: [NONE; RANGES], bytes: 0 };

    /// Memory for `length` bytes, from the shortest range that serves; or none. It may be longer than asked for by a
    /// quarter, or by what is left of its last granule.
    pub(super) fn take(&mut self, length: usize, align: usize) -> Range {
        let most = length.saturating_add(length / SLACK);
        let Some(cut) = round_up(length, GRANULE) else { return NONE };
        let best = self.best(|range| {
            let serves = range.length >= length && (range.length <= most || range.length > cut);
            (serves && range.address & align.wrapping_sub(1) == 0).then_some(range.length)
        });
        self.cut(best, if self.at(best).length <= most { usize::MAX } else { cut })
    }

    /// Memory for `length` bytes at `address`, or none. It may be longer by what is left of its last granule.
    pub(super) fn take_at(&mut self, address: usize, length: usize) -> Range {
        let Some(cut) = round_up(length, GRANULE) else { return NONE };
        let place = self.best(|range| (range.address == address && range.length >= length).then_some(0));
        self.cut(place, cut)
    }

    /// The range kept longest, or none.
    pub(super) fn take_oldest(&mut self, now: u32) -> Range {
        let place = self.best(|range| Some(u32::MAX.wrapping_sub(now.wrapping_sub(range.since)) as usize));
        self.cut(place, usize::MAX)
    }

    /// The range kept longest, if that is `delay` milliseconds or more; or none.
    pub(super) fn take_aged(&mut self, now: u32, delay: u32) -> Range {
        let place = self.best(|range| (now.wrapping_sub(range.since) >= delay).then_some(0));
        self.cut(place, usize::MAX)
    }

    /// For how long the range kept longest has been kept by `now`.
    pub(super) fn oldest(&self, now: u32) -> Option<u32> {
        let ranges = self.ranges.iter().filter(|range| range.length > 0);
        ranges.map(|range| now.wrapping_sub(range.since)).max()
    }

    /// Keeps a range, joined with its neighbours. `false` without a place for it.
    pub(super) fn put(&mut self, mut new: Range) -> bool {
        self.bytes = self.bytes.wrapping_add(new.length);
        for range in &mut self.ranges {
            let (front, back) = if range.address < new.address { (*range, new) } else { (new, *range) };
            if range.length > 0 && front.address.wrapping_add(front.length) == back.address {
                let since = if range.length > new.length { range.since } else { new.since };
                new = Range { address: front.address, length: front.length.wrapping_add(back.length), since };
                *range = NONE;
            }
        }
        if let Some(place) = self.ranges.iter_mut().find(|range| range.length == 0) {
            *place = new;
            return true;
        }
        self.bytes = self.bytes.wrapping_sub(new.length);
        false
    }

    fn at(&self, place: usize) -> Range {
        self.ranges.get(place).copied().unwrap_or(NONE)
    }

    /// The place of the range that `rank` gives the lowest number; no place if it gives none any.
    fn best(&self, rank: impl Fn(Range) -> Option<usize>) -> usize {
        let ranked = self.ranges.iter().enumerate().filter(|(_, range)| range.length > 0);
        ranked.filter_map(|(place, &range)| Some((rank(range)?, place))).min().map_or(RANGES, |(_, place)| place)
    }

    /// Takes the first `length` bytes of the range at `place`, a multiple of the granule, or all if it is no longer.
    fn cut(&mut self, place: usize, length: usize) -> Range {
        let Some(range) = self.ranges.get_mut(place) else { return NONE };
        let taken = Range { length: length.min(range.length), ..*range };
        range.address = range.address.wrapping_add(taken.length);
        range.length = range.length.wrapping_sub(taken.length);
        self.bytes = self.bytes.wrapping_sub(taken.length);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: usize = 0x7000_0000_0000;

    fn range(granule: usize, length: usize, since: u32) -> Range {
        Range { address: BASE + granule * GRANULE, length, since }
    }

    fn kept(ranges: &[Range]) -> Kept {
        let mut kept = Kept::NOTHING;
        for &range in ranges {
            assert!(kept.put(range));
        }
        kept
    }

    #[test]
    fn neighbours_are_joined() {
        let mut kept = kept(&[range(0, GRANULE, 1), range(3, 4096, 2), range(1, 2 * GRANULE, 3)]);
        assert_eq!(kept.bytes, 3 * GRANULE + 4096);
        let all = kept.take_at(BASE, 3 * GRANULE + 4096);
        assert_eq!((all.length, all.since, kept.bytes), (3 * GRANULE + 4096, 3, 0));
        // What ends within a granule has no neighbour behind.
        assert!(kept.put(range(0, 4096, 1)) && kept.put(range(1, 4096, 1)));
        assert_eq!(kept.take_at(BASE, 4096).length, 4096);
    }

    #[test]
    fn a_request_is_cut_from_the_shortest_that_serves() {
        let mut kept = kept(&[range(0, 32 * GRANULE, 1), range(50, 8 * GRANULE, 2), range(70, 3 * GRANULE, 3)]);
        // Exactly, or up to a quarter longer.
        assert_eq!(kept.take(3 * GRANULE - 4096, 1).address, BASE + 70 * GRANULE);
        // From the front of a longer one, in whole granules.
        let cut = kept.take(4096, 1);
        assert_eq!((cut.address, cut.length), (BASE + 50 * GRANULE, GRANULE));
        let rest = kept.take_at(BASE + 51 * GRANULE, 4096);
        assert_eq!((rest.address, rest.length), (BASE + 51 * GRANULE, GRANULE));
        assert_eq!(kept.bytes, 38 * GRANULE);
        // Only where it starts.
        assert_eq!(kept.take_at(BASE + GRANULE, 4096).length, 0);
        assert_eq!(kept.take_at(BASE, 33 * GRANULE).length, 0);
        // Aligned.
        assert_eq!(kept.take(4096, 1 << 44).address, BASE);
    }

    #[test]
    fn a_range_in_one_granule_is_not_cut() {
        let mut kept = kept(&[range(0, GRANULE, 1)]);
        assert_eq!(kept.take(4096, 1).length, 0);
        assert_eq!(kept.take(GRANULE - GRANULE / 8, 1).length, GRANULE);
    }

    #[test]
    fn the_oldest_goes_first() {
        // The clock has wrapped since the first one.
        let now = 10;
        let mut kept = kept(&[range(0, 4096, u32::MAX - 5), range(2, 4096, 3), range(4, 4096, 9)]);
        assert_eq!((kept.oldest(now), Kept::NOTHING.oldest(now)), (Some(16), None));
        assert_eq!(kept.take_aged(now, 17).length, 0);
        assert_eq!(kept.take_aged(now, 16).address, BASE);
        assert_eq!(kept.take_oldest(now).address, BASE + 2 * GRANULE);
        assert_eq!(kept.take_oldest(now).address, BASE + 4 * GRANULE);
        assert_eq!(kept.take_oldest(now).length, 0);
    }

    #[test]
    fn places_are_limited() {
        let mut kept = Kept::NOTHING;
        let put = (0..RANGES + 1).filter(|&index| kept.put(range(2 * index, 4096, 0))).count();
        assert_eq!((put, kept.bytes), (RANGES, RANGES * 4096));
        // But a neighbour needs none.
        assert!(kept.put(range(1, GRANULE, 0)));
        assert_eq!(kept.bytes, RANGES * 4096 + GRANULE);
    }
}
