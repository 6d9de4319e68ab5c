//! Order statistics of a few rounds.

/// What is said about the rounds of a workload on an allocator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    /// Half of the rounds are below.
    pub(crate) median: f64,
    /// A quarter of the rounds is below.
    pub(crate) lower: f64,
    /// A quarter of the rounds is above.
    pub(crate) upper: f64,
    /// The fastest round.
    pub(crate) min: f64,
    /// The slowest round.
    pub(crate) max: f64,
}

/// Summarises `values`, of which there is at least one.
pub(crate) fn summary(values: &[f64]) -> Summary {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let [min, lower, median, upper, max] = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(&sorted, share));
    Summary { median, lower, upper, min, max }
}

/// The value at `share`, from 0 to 1, of the way through `sorted`; between two values it is interpolated.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let below = sorted[position.floor() as usize];
    let above = sorted[position.ceil() as usize];
    below + (above - below) * position.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(summary(&[3.0, 1.0, 2.0]).median, 2.0);
        assert_eq!(summary(&[4.0, 1.0, 3.0, 2.0]).median, 2.5);
        assert_eq!(summary(&[7.0]), Summary { median: 7.0, lower: 7.0, upper: 7.0, min: 7.0, max: 7.0 });
    }

    #[test]
    fn the_spread_is_the_middle_half() {
        let summary = summary(&[5.0, 1.0, 100.0, 4.0, 2.0]);
        assert_eq!((summary.lower, summary.upper), (2.0, 5.0));
        assert_eq!((summary.min, summary.max), (1.0, 100.0));
        let even = super::summary(&[1.0, 2.0]);
        assert_eq!((even.lower, even.upper), (1.25, 1.75));
    }
}
