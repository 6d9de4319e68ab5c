//! Freed mappings, kept for a while: ranges of address space with their memory still behind them.
//!
//! A request that finds a range of its own length, freed of late, takes that. For any other, neighbours are joined, and a longer
//! range is cut: so what was one block can become many, and the other way round; and a block grows into the range behind it
//! without a system call or a page fault.

use crate::sys::mmap::round_up;

/// Ranges kept at most.
const RANGES: usize = 32;

/// A range serves a request as a whole if it is at most this fraction (1/4) longer.
const SLACK: usize = 4;

/// A range of kept memory, in whole pages. Length 0 is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) address: usize,
    pub(super) length: usize,
    /// When it was freed, in milliseconds; of joined ones, when the longer was.
    pub(super) since: u32,
}

pub(super) const NONE: Range = Range { address: 0, length: 0, since: 0 };

impl Range {
    fn end(self) -> usize {
        self.address.wrapping_add(self.length)
    }

    /// The bytes before the first multiple of `align`, and those from there on.
    fn split(self, align: usize) -> (usize, usize) {
        let before = round_up(self.address, align).map_or(self.length, |first| first.wrapping_sub(self.address));
        (before, self.length.saturating_sub(before))
    }
}

/// The kept ranges.
///
/// # Invariants
/// `tidy ≤ count`. The first `count` ranges are not empty; of the first `tidy`, none ends where another starts; the others were
/// kept since, the exact last. `bytes` is the sum of all lengths.
#[derive(Debug)]
pub(super) struct ExtentCache {
    ranges: [Range; RANGES],
    tidy: usize,
    count: usize,
    pub(super) bytes: usize,
}

impl ExtentCache {
    pub(super) const NOTHING: ExtentCache = ExtentCache { ranges: [NONE; RANGES], tidy: 0, count: 0, bytes: 0 };

    /// Memory for `length` bytes at a multiple of `align`, from the shortest range that serves, or none; it may be longer
    /// by a quarter. With it, what there is no place for any more.
    pub(super) fn take(&mut self, length: usize, align: usize) -> (Range, Range) {
        let same = |range: &Range| range.length == length && range.address & align.wrapping_sub(1) == 0;
        let late = self.ranges.get(self.tidy..self.count).unwrap_or_default().iter().rposition(same);
        if let Some(late) = late {
            return self.cut(self.tidy.wrapping_add(late), 0, length);
        }
        self.join();
        let place = self.best(|range| Some(range.split(align).1).filter(|&rest| rest >= length));
        let (before, rest) = self.at(place).split(align);
        let whole = rest <= length.saturating_add(length / SLACK);
        self.cut(place, before, if whole { rest } else { length })
    }

    /// At most `length` bytes at `address`, or none.
    pub(super) fn take_at(&mut self, address: usize, length: usize) -> Range {
        self.join();
        let place = self.best(|range| (range.address == address).then_some(0));
        self.cut(place, 0, length.min(self.at(place).length)).0
    }

    /// The range kept longest, or none.
    pub(super) fn take_oldest(&mut self, now: u32) -> Range {
        let place = self.best(|range| Some(u32::MAX.wrapping_sub(now.wrapping_sub(range.since)) as usize));
        self.cut(place, 0, self.at(place).length).0
    }

    /// The range kept longest, if that is `delay` milliseconds or more; or none.
    pub(super) fn take_aged(&mut self, now: u32, delay: u32) -> Range {
        let place = self.best(|range| (now.wrapping_sub(range.since) >= delay).then_some(0));
        self.cut(place, 0, self.at(place).length).0
    }

    /// For how long the range kept longest has been kept by `now`.
    pub(super) fn oldest(&self, now: u32) -> Option<u32> {
        self.all().iter().map(|range| now.wrapping_sub(range.since)).max()
    }

    /// Keeps a range. `false` without a place for it.
    pub(super) fn put(&mut self, range: Range) -> bool {
        if self.count < RANGES {
            self.add(range);
        } else {
            self.join();
            if self.count == RANGES && !self.borders(range) {
                return false;
            }
            self.add_joined(range);
        }
        self.bytes = self.bytes.wrapping_add(range.length);
        true
    }

    /// Whether a range has a neighbour.
    fn borders(&self, new: Range) -> bool {
        self.all().iter().any(|range| range.end() == new.address || new.end() == range.address)
    }

    /// Joins the ranges kept since the last time with their neighbours.
    #[inline(never)] // Called from many places, as `cut` is.
    fn join(&mut self) {
        while self.tidy < self.count {
            self.count = self.count.wrapping_sub(1);
            self.add_joined(self.at(self.count));
        }
    }

    /// Adds a range to the tidy ones, joined with its neighbours. There is a place, or there are neighbours.
    fn add_joined(&mut self, mut new: Range) {
        let mut place = 0;
        while place < self.tidy {
            let range = self.at(place);
            let (front, back) = if range.address < new.address { (range, new) } else { (new, range) };
            if front.end() == back.address {
                let since = if range.length > new.length { range.since } else { new.since };
                new = Range { address: front.address, length: front.length.wrapping_add(back.length), since };
                self.remove(place);
            } else {
                place = place.wrapping_add(1);
            }
        }
        // The first of the others makes room.
        self.set(self.count, self.at(self.tidy));
        self.set(self.tidy, new);
        self.tidy = self.tidy.wrapping_add(1);
        self.count = self.count.wrapping_add(1);
    }

    fn all(&self) -> &[Range] {
        self.ranges.get(..self.count).unwrap_or_default()
    }

    /// `false` without a place.
    fn add(&mut self, range: Range) -> bool {
        let Some(place) = self.ranges.get_mut(self.count) else { return false };
        *place = range;
        self.count = self.count.wrapping_add(1);
        true
    }

    fn remove(&mut self, mut place: usize) {
        if place < self.tidy {
            self.tidy = self.tidy.wrapping_sub(1);
            self.set(place, self.at(self.tidy));
            place = self.tidy;
        }
        self.count = self.count.wrapping_sub(1);
        self.set(place, self.at(self.count));
    }

    fn set(&mut self, place: usize, range: Range) {
        if let Some(place) = self.ranges.get_mut(place) {
            *place = range;
        }
    }

    fn at(&self, place: usize) -> Range {
        self.ranges.get(place).copied().unwrap_or(NONE)
    }

    /// The place of the range that `rank` gives the lowest number; no place if it gives none any.
    fn best(&self, rank: impl Fn(Range) -> Option<usize>) -> usize {
        self.all()
            .iter()
            .enumerate()
            .filter_map(|(place, &range)| Some((rank(range)?, place)))
            .min()
            .map_or(RANGES, |(_, place)| place)
    }

    /// Takes `length` bytes from `before` on out of the range at `place`. What is behind them remains if there is a place,
    /// and is the second of the two if not.
    #[inline(never)]
    fn cut(&mut self, place: usize, before: usize, length: usize) -> (Range, Range) {
        let Some(range) = self.ranges.get_mut(place) else { return (NONE, NONE) };
        let taken = Range { address: range.address.wrapping_add(before), length, ..*range };
        let behind = Range { address: taken.end(), length: range.end().wrapping_sub(taken.end()), ..*range };
        range.length = before;
        self.bytes = self.bytes.wrapping_sub(length);
        if before == 0 {
            self.remove(place);
        }
        if behind.length == 0 || self.add(behind) {
            return (taken, NONE);
        }
        self.bytes = self.bytes.wrapping_sub(behind.length);
        (taken, behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::page_map::GRANULE;
    use std::vec::Vec;

    const BASE: usize = 0x7000_0000_0000;
    const PAGE: usize = 4096;

    fn range(granule: usize, length: usize, since: u32) -> Range {
        Range { address: BASE + granule * GRANULE, length, since }
    }

    fn kept(ranges: &[Range]) -> ExtentCache {
        let mut kept = ExtentCache::NOTHING;
        for &range in ranges {
            assert!(kept.put(range));
        }
        kept
    }

    #[test]
    fn neighbours_are_joined() {
        let mut kept = kept(&[range(0, GRANULE, 1), range(3, PAGE, 2), range(1, 2 * GRANULE, 3)]);
        assert_eq!(kept.bytes, 3 * GRANULE + PAGE);
        let all = kept.take_at(BASE, usize::MAX);
        assert_eq!((all.length, all.since, kept.bytes), (3 * GRANULE + PAGE, 3, 0));
        // What ends within a granule has no neighbour behind.
        assert!(kept.put(range(0, PAGE, 1)) && kept.put(range(1, PAGE, 1)));
        assert_eq!(kept.take_at(BASE, usize::MAX).length, PAGE);
    }

    #[test]
    fn a_request_is_cut_from_the_shortest_that_serves() {
        let mut kept = kept(&[range(0, 32 * GRANULE, 1), range(50, 8 * GRANULE, 2), range(70, 3 * GRANULE, 3)]);
        // As a whole if it is up to a quarter longer.
        let (whole, nothing) = kept.take(3 * GRANULE - PAGE, GRANULE);
        assert_eq!((whole.address, whole.length, nothing.length), (BASE + 70 * GRANULE, 3 * GRANULE, 0));
        let (cut, nothing) = kept.take(PAGE, GRANULE);
        assert_eq!((cut.address, cut.length, nothing.length), (BASE + 50 * GRANULE, PAGE, 0));
        // What remains of the granule is for who grows into it. The next request begins with the next granule.
        let (next, _) = kept.take(2 * PAGE, GRANULE);
        assert_eq!((next.address, next.length), (BASE + 51 * GRANULE, 2 * PAGE));
        let slack = kept.take_at(BASE + 50 * GRANULE + PAGE, usize::MAX);
        assert_eq!(slack.length, GRANULE - PAGE);
        assert_eq!(kept.take_at(BASE + 51 * GRANULE + 2 * PAGE, PAGE).length, PAGE);
        assert_eq!(kept.bytes, 39 * GRANULE - 3 * PAGE);
        // Only where it starts.
        assert_eq!(kept.take_at(BASE + GRANULE, PAGE).length, 0);
        assert_eq!(kept.take(33 * GRANULE, GRANULE).0.length, 0);
        // Aligned.
        assert_eq!(kept.take(PAGE, 1 << 44).0.address, BASE);
    }

    #[test]
    fn the_latest_of_the_same_length_is_taken_as_it_is() {
        // Three neighbours, which nobody joins as long as each request is for one of them.
        let mut kept = kept(&[range(0, GRANULE, 1), range(1, GRANULE, 2), range(2, GRANULE, 3)]);
        for granule in [2, 1, 0] {
            assert_eq!(kept.take(GRANULE, GRANULE).0.address, BASE + granule * GRANULE);
        }
        assert_eq!((kept.bytes, kept.count), (0, 0));
        for granule in [1, 2, 0] {
            assert!(kept.put(range(granule, GRANULE, 1)));
        }
        // At a multiple of as much as that.
        let (aligned, _) = kept.take(GRANULE, 2 * GRANULE);
        assert_eq!(aligned.address % (2 * GRANULE), 0);
        assert!(kept.put(aligned));
        // Joined for the first that is of another length.
        assert_eq!(kept.take(3 * GRANULE, GRANULE).0.address, BASE);
        assert_eq!((kept.bytes, kept.count, kept.tidy), (0, 0, 0));
    }

    #[test]
    fn what_is_kept_is_kept_once() {
        let mut kept = ExtentCache::NOTHING;
        let mut random = 0x0123_4567_89AB_CDEF_u64;
        let mut out = std::vec![range(0, 64 * GRANULE, 0)];
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (kind, pick) = (random >> 60, (random >> 32) as usize);
            if kind < 8 && !out.is_empty() {
                let range = out.swap_remove(pick % out.len());
                if !kept.put(range) {
                    out.push(range);
                }
            } else {
                let length = (pick % 7 + 1) * GRANULE / 2;
                let (taken, behind) = match kind {
                    8..14 => kept.take(length, GRANULE),
                    14 => (kept.take_at(BASE + pick % 128 * GRANULE / 2, length), NONE),
                    _ => (kept.take_oldest(0), NONE),
                };
                out.extend([taken, behind].into_iter().filter(|range| range.length > 0));
            }
            let all = || out.iter().chain(kept.all());
            assert_eq!(kept.bytes, kept.all().iter().map(|range| range.length).sum::<usize>());
            assert_eq!(all().map(|range| range.length).sum::<usize>(), 64 * GRANULE);
            assert!(kept.tidy <= kept.count);
            let mut places: Vec<Range> = all().copied().collect();
            places.sort_by_key(|range| range.address);
            assert!(places.windows(2).all(|pair| pair[0].end() <= pair[1].address), "two of the same memory");
        }
    }

    #[test]
    fn the_oldest_goes_first() {
        // The clock has wrapped since the first one.
        let now = 10;
        let mut kept = kept(&[range(0, PAGE, u32::MAX - 5), range(2, PAGE, 3), range(4, PAGE, 9)]);
        assert_eq!((kept.oldest(now), ExtentCache::NOTHING.oldest(now)), (Some(16), None));
        assert_eq!(kept.take_aged(now, 17).length, 0);
        assert_eq!(kept.take_aged(now, 16).address, BASE);
        assert_eq!(kept.take_oldest(now).address, BASE + 2 * GRANULE);
        assert_eq!(kept.take_oldest(now).address, BASE + 4 * GRANULE);
        assert_eq!(kept.take_oldest(now).length, 0);
    }

    #[test]
    fn places_are_limited() {
        let mut kept = ExtentCache::NOTHING;
        let unaligned =
            |index: usize| Range { address: BASE + 4 * index * GRANULE + PAGE, length: 3 * GRANULE, since: 0 };
        let put = (0..RANGES + 1).filter(|&index| kept.put(unaligned(index))).count();
        assert_eq!((put, kept.bytes), (RANGES, RANGES * 3 * GRANULE));
        // What a cut leaves behind finds none.
        let (taken, behind) = kept.take(PAGE, GRANULE);
        assert_eq!((taken.address % GRANULE, taken.length), (0, PAGE));
        assert_eq!((behind.address, behind.length), (taken.address + PAGE, 2 * GRANULE));
        assert_eq!(kept.bytes, (RANGES - 1) * 3 * GRANULE + GRANULE - PAGE);
        // But a neighbour needs none.
        assert!(!kept.put(behind) && kept.put(taken) && kept.put(behind));
        assert_eq!(kept.bytes, RANGES * 3 * GRANULE);
    }
}
