//! Freed ranges, still mapped and resident, cached for other requests.
//!
//! A request of the same length as a recently freed range takes that range. For any other request, adjacent ranges are
//! coalesced and a longer range is split. So one block's memory can serve many blocks, or the other way round, and a
//! block can grow into the range after it, without a system call or a page fault.

use crate::sys::mmap::round_up;

/// The most ranges cached.
const RANGES: usize = 32;

/// A range serves a request as a whole if it is at most this fraction (1/4) longer.
const SLACK: usize = 4;

/// A range of cached memory, in whole pages. Length 0: none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) address: usize,
    pub(super) length: usize,
    /// When it was freed, in milliseconds; of joined ranges, when the longer one was.
    pub(super) since: u32,
}

pub(super) const NONE: Extent = Extent { address: 0, length: 0, since: 0 };

impl Extent {
    fn end(self) -> usize {
        self.address.wrapping_add(self.length)
    }

    /// The bytes before the first multiple of `align`, and those from there on.
    fn split(self, align: usize) -> (usize, usize) {
        let before = round_up(self.address, align).map_or(self.length, |first| first.wrapping_sub(self.address));
        (before, self.length.saturating_sub(before))
    }
}

/// The cache.
///
/// # Invariants
/// ```text
/// joined ≤ count ≤ RANGES
/// extents[0 … count) are not empty, and do not overlap
/// extents[0 … joined): none ends where another of them starts
/// bytes == sum of all lengths
/// ```
/// `extents[joined … count)` were put in since the last join, the latest one last.
#[derive(Debug)]
pub(super) struct ExtentCache {
    extents: [Extent; RANGES],
    joined: usize,
    count: usize,
    pub(super) bytes: usize,
}

impl ExtentCache {
    pub(super) const EMPTY: ExtentCache = ExtentCache { extents: [NONE; RANGES], joined: 0, count: 0, bytes: 0 };

    /// Takes `length` bytes, or up to a quarter more, at a multiple of `align` from the shortest range that serves;
    /// `NONE` if none does. The second result is the remainder after a cut, if the cache has no room for it.
    pub(super) fn take(&mut self, length: usize, align: usize) -> (Extent, Extent) {
        let same = |range: &Extent| range.length == length && range.address & align.wrapping_sub(1) == 0;
        let latest = self.extents.get(self.joined..self.count).unwrap_or_default().iter().rposition(same);
        if let Some(latest) = latest {
            return self.cut(self.joined.wrapping_add(latest), 0, length);
        }
        self.join();
        let index = self.best(|range| Some(range.split(align).1).filter(|&rest| rest >= length));
        let (before, rest) = self.at(index).split(align);
        let whole = rest <= length.saturating_add(length / SLACK);
        self.cut(index, before, if whole { rest } else { length })
    }

    /// Takes at most `length` bytes at `address`; `NONE` if no range starts there.
    pub(super) fn take_at(&mut self, address: usize, length: usize) -> Extent {
        self.join();
        let index = self.best(|range| (range.address == address).then_some(0));
        self.cut(index, 0, length.min(self.at(index).length)).0
    }

    /// Takes the range freed first, or `NONE`.
    pub(super) fn take_oldest(&mut self, now: u32) -> Extent {
        let index = self.best(|range| Some(u32::MAX.wrapping_sub(now.wrapping_sub(range.since)) as usize));
        self.cut(index, 0, self.at(index).length).0
    }

    /// Takes a range freed `delay` milliseconds ago or earlier, or `NONE`.
    pub(super) fn take_aged(&mut self, now: u32, delay: u32) -> Extent {
        let index = self.best(|range| (now.wrapping_sub(range.since) >= delay).then_some(0));
        self.cut(index, 0, self.at(index).length).0
    }

    /// How long ago the oldest range was freed.
    pub(super) fn oldest(&self, now: u32) -> Option<u32> {
        self.all().iter().map(|range| now.wrapping_sub(range.since)).max()
    }

    /// Puts in a range. `false`: there is no room for it.
    pub(super) fn put(&mut self, range: Extent) -> bool {
        if self.count < RANGES {
            self.push(range);
        } else {
            self.join();
            if self.count == RANGES && !self.has_neighbour(range) {
                return false;
            }
            self.push_joined(range);
        }
        self.bytes = self.bytes.wrapping_add(range.length);
        true
    }

    fn has_neighbour(&self, new: Extent) -> bool {
        self.all().iter().any(|range| range.end() == new.address || new.end() == range.address)
    }

    /// Joins the ranges put in since the last join with their neighbours.
    #[inline(never)] // For size: it has many callers, as `cut` has.
    fn join(&mut self) {
        while self.joined < self.count {
            self.count = self.count.wrapping_sub(1);
            self.push_joined(self.at(self.count));
        }
    }

    /// Adds a range to the joined ones, after joining it with its neighbours. There is room for it, or there are
    /// neighbours.
    fn push_joined(&mut self, mut new: Extent) {
        let mut index = 0;
        while index < self.joined {
            let range = self.at(index);
            let (lower, upper) = if range.address < new.address { (range, new) } else { (new, range) };
            if lower.end() == upper.address {
                let since = if range.length > new.length { range.since } else { new.since };
                new = Extent { address: lower.address, length: lower.length.wrapping_add(upper.length), since };
                self.remove(index);
            } else {
                index = index.wrapping_add(1);
            }
        }
        // The first range that is not joined moves to the end.
        self.set(self.count, self.at(self.joined));
        self.set(self.joined, new);
        self.joined = self.joined.wrapping_add(1);
        self.count = self.count.wrapping_add(1);
    }

    fn all(&self) -> &[Extent] {
        self.extents.get(..self.count).unwrap_or_default()
    }

    /// `false`: there is no room.
    fn push(&mut self, range: Extent) -> bool {
        let Some(slot) = self.extents.get_mut(self.count) else { return false };
        *slot = range;
        self.count = self.count.wrapping_add(1);
        true
    }

    fn remove(&mut self, mut index: usize) {
        if index < self.joined {
            self.joined = self.joined.wrapping_sub(1);
            self.set(index, self.at(self.joined));
            index = self.joined;
        }
        self.count = self.count.wrapping_sub(1);
        self.set(index, self.at(self.count));
    }

    fn set(&mut self, index: usize, range: Extent) {
        if let Some(slot) = self.extents.get_mut(index) {
            *slot = range;
        }
    }

    fn at(&self, index: usize) -> Extent {
        self.extents.get(index).copied().unwrap_or(NONE)
    }

    /// The index of the range with the lowest `rank`; `RANGES` if no range has one.
    fn best(&self, rank: impl Fn(Extent) -> Option<usize>) -> usize {
        self.all()
            .iter()
            .enumerate()
            .filter_map(|(index, &range)| Some((rank(range)?, index)))
            .min()
            .map_or(RANGES, |(_, index)| index)
    }

    /// Takes `length` bytes out of the range at `index`, from offset `before` on. The part after them stays if there is
    /// room for one more range; otherwise it is the second result.
    #[inline(never)]
    fn cut(&mut self, index: usize, before: usize, length: usize) -> (Extent, Extent) {
        let Some(range) = self.extents.get_mut(index) else { return (NONE, NONE) };
        let taken = Extent { address: range.address.wrapping_add(before), length, ..*range };
        let remainder = Extent { address: taken.end(), length: range.end().wrapping_sub(taken.end()), ..*range };
        range.length = before;
        self.bytes = self.bytes.wrapping_sub(length);
        if before == 0 {
            self.remove(index);
        }
        if remainder.length == 0 || self.push(remainder) {
            return (taken, NONE);
        }
        self.bytes = self.bytes.wrapping_sub(remainder.length);
        (taken, remainder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::page_map::GRANULE;
    use std::vec::Vec;

    const BASE: usize = 0x7000_0000_0000;
    const PAGE: usize = 4096;

    fn range(granule: usize, length: usize, since: u32) -> Extent {
        Extent { address: BASE + granule * GRANULE, length, since }
    }

    fn cache_of(ranges: &[Extent]) -> ExtentCache {
        let mut cache = ExtentCache::EMPTY;
        for &range in ranges {
            assert!(cache.put(range));
        }
        cache
    }

    #[test]
    fn neighbours_are_joined() {
        let mut cache = cache_of(&[range(0, GRANULE, 1), range(3, PAGE, 2), range(1, 2 * GRANULE, 3)]);
        assert_eq!(cache.bytes, 3 * GRANULE + PAGE);
        let all = cache.take_at(BASE, usize::MAX);
        assert_eq!((all.length, all.since, cache.bytes), (3 * GRANULE + PAGE, 3, 0));
        // A range that ends within a granule has no neighbour after it.
        assert!(cache.put(range(0, PAGE, 1)) && cache.put(range(1, PAGE, 1)));
        assert_eq!(cache.take_at(BASE, usize::MAX).length, PAGE);
    }

    #[test]
    fn a_request_is_cut_from_the_shortest_that_serves() {
        let mut cache = cache_of(&[range(0, 32 * GRANULE, 1), range(50, 8 * GRANULE, 2), range(70, 3 * GRANULE, 3)]);
        // As a whole if it is up to a quarter longer.
        let (whole, nothing) = cache.take(3 * GRANULE - PAGE, GRANULE);
        assert_eq!((whole.address, whole.length, nothing.length), (BASE + 70 * GRANULE, 3 * GRANULE, 0));
        let (cut, nothing) = cache.take(PAGE, GRANULE);
        assert_eq!((cut.address, cut.length, nothing.length), (BASE + 50 * GRANULE, PAGE, 0));
        // The rest of the granule stays cached for the block to grow into. The next request starts at the next granule.
        let (next, _) = cache.take(2 * PAGE, GRANULE);
        assert_eq!((next.address, next.length), (BASE + 51 * GRANULE, 2 * PAGE));
        let slack = cache.take_at(BASE + 50 * GRANULE + PAGE, usize::MAX);
        assert_eq!(slack.length, GRANULE - PAGE);
        assert_eq!(cache.take_at(BASE + 51 * GRANULE + 2 * PAGE, PAGE).length, PAGE);
        assert_eq!(cache.bytes, 39 * GRANULE - 3 * PAGE);
        // Only where it starts.
        assert_eq!(cache.take_at(BASE + GRANULE, PAGE).length, 0);
        assert_eq!(cache.take(33 * GRANULE, GRANULE).0.length, 0);
        // Aligned.
        assert_eq!(cache.take(PAGE, 1 << 44).0.address, BASE);
    }

    #[test]
    fn the_latest_of_the_same_length_is_taken_whole() {
        // Three neighbours, which are not joined as long as each request is for one of them.
        let mut cache = cache_of(&[range(0, GRANULE, 1), range(1, GRANULE, 2), range(2, GRANULE, 3)]);
        for granule in [2, 1, 0] {
            assert_eq!(cache.take(GRANULE, GRANULE).0.address, BASE + granule * GRANULE);
        }
        assert_eq!((cache.bytes, cache.count), (0, 0));
        for granule in [1, 2, 0] {
            assert!(cache.put(range(granule, GRANULE, 1)));
        }
        // At a larger alignment.
        let (aligned, _) = cache.take(GRANULE, 2 * GRANULE);
        assert_eq!(aligned.address % (2 * GRANULE), 0);
        assert!(cache.put(aligned));
        // A request of another length joins them.
        assert_eq!(cache.take(3 * GRANULE, GRANULE).0.address, BASE);
        assert_eq!((cache.bytes, cache.count, cache.joined), (0, 0, 0));
    }

    #[test]
    fn no_byte_is_cached_twice() {
        let mut cache = ExtentCache::EMPTY;
        let mut random = 0x0123_4567_89AB_CDEF_u64;
        let mut out = std::vec![range(0, 64 * GRANULE, 0)];
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (kind, pick) = (random >> 60, (random >> 32) as usize);
            if kind < 8 && !out.is_empty() {
                let range = out.swap_remove(pick % out.len());
                if !cache.put(range) {
                    out.push(range);
                }
            } else {
                let length = (pick % 7 + 1) * GRANULE / 2;
                let (taken, remainder) = match kind {
                    8..14 => cache.take(length, GRANULE),
                    14 => (cache.take_at(BASE + pick % 128 * GRANULE / 2, length), NONE),
                    _ => (cache.take_oldest(0), NONE),
                };
                out.extend([taken, remainder].into_iter().filter(|range| range.length > 0));
            }
            let all = || out.iter().chain(cache.all());
            assert_eq!(cache.bytes, cache.all().iter().map(|range| range.length).sum::<usize>());
            assert_eq!(all().map(|range| range.length).sum::<usize>(), 64 * GRANULE);
            assert!(cache.joined <= cache.count);
            let mut sorted: Vec<Extent> = all().copied().collect();
            sorted.sort_by_key(|range| range.address);
            assert!(sorted.windows(2).all(|pair| pair[0].end() <= pair[1].address), "two of the same memory");
        }
    }

    #[test]
    fn the_oldest_goes_first() {
        // The clock has wrapped since the first one.
        let now = 10;
        let mut cache = cache_of(&[range(0, PAGE, u32::MAX - 5), range(2, PAGE, 3), range(4, PAGE, 9)]);
        assert_eq!((cache.oldest(now), ExtentCache::EMPTY.oldest(now)), (Some(16), None));
        assert_eq!(cache.take_aged(now, 17).length, 0);
        assert_eq!(cache.take_aged(now, 16).address, BASE);
        assert_eq!(cache.take_oldest(now).address, BASE + 2 * GRANULE);
        assert_eq!(cache.take_oldest(now).address, BASE + 4 * GRANULE);
        assert_eq!(cache.take_oldest(now).length, 0);
    }

    #[test]
    fn room_is_limited() {
        let mut cache = ExtentCache::EMPTY;
        let unaligned =
            |index: usize| Extent { address: BASE + 4 * index * GRANULE + PAGE, length: 3 * GRANULE, since: 0 };
        let put = (0..RANGES + 1).filter(|&index| cache.put(unaligned(index))).count();
        assert_eq!((put, cache.bytes), (RANGES, RANGES * 3 * GRANULE));
        // There is no room for the remainder of a cut.
        let (taken, remainder) = cache.take(PAGE, GRANULE);
        assert_eq!((taken.address % GRANULE, taken.length), (0, PAGE));
        assert_eq!((remainder.address, remainder.length), (taken.address + PAGE, 2 * GRANULE));
        assert_eq!(cache.bytes, (RANGES - 1) * 3 * GRANULE + GRANULE - PAGE);
        // But a neighbour is joined, which needs none.
        assert!(!cache.put(remainder) && cache.put(taken) && cache.put(remainder));
        assert_eq!(cache.bytes, RANGES * 3 * GRANULE);
    }
}
