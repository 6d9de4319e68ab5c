//! Bins of extents of similar length: eight to each doubling.

/// Bins for each doubling of the length.
const PER_DOUBLING: usize = 8;

/// How many bins there are: a length is below 2³² units.
pub(super) const BINS: usize = 32 * PER_DOUBLING;

/// The bin of extents of this length in units. Extents in higher bins are longer.
#[inline]
pub(super) fn bin_of(length: usize) -> usize {
    let log = length.max(1).ilog2() as usize;
    if log < 3 {
        return length;
    }
    ((log - 2) * PER_DOUBLING + (length >> (log - 3)) % PER_DOUBLING).min(BINS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_ascend() {
        let mut last = 0;
        for length in 1..100_000 {
            let bin = bin_of(length);
            assert!(bin == last || bin == last + 1, "{length}");
            last = bin;
        }
        assert!(bin_of(1 << 39) < BINS);
    }
}
