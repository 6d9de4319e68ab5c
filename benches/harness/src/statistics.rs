//! Statistics of a few rounds.

/// The rounds in brief.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Half of the rounds are below.
    pub median: f64,
    /// A quarter of the rounds is below.
    pub lower: f64,
    /// A quarter of the rounds is above.
    pub upper: f64,
    /// The fastest round.
    pub min: f64,
    /// The slowest round.
    pub max: f64,
}

/// Summarises `values`; none if there are none.
pub fn summary(values: &[f64]) -> Option<Summary> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let [min, lower, median, upper, max] = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(&sorted, share));
    Some(Summary { median: median?, lower: lower?, upper: upper?, min: min?, max: max? })
}

/// The median; none if there are no values.
pub fn median(values: &[f64]) -> Option<f64> {
    summary(values).map(|summary| summary.median)
}

/// The value at `share`, from 0 to 1, of the way through `sorted`; between two values it is interpolated.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let position = share * sorted.len().checked_sub(1)? as f64;
    let below = sorted[position.floor() as usize];
    let above = sorted[position.ceil() as usize];
    Some(below + (above - below) * position.fract())
}

/// The geometric mean; none if there are no values.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (sum / values.len() as f64).exp())
}

/// The index of the smallest of `values`, among those that there are.
pub fn smallest(values: impl IntoIterator<Item = Option<f64>>) -> Option<usize> {
    let measured = values.into_iter().enumerate().filter_map(|(index, value)| Some((index, value?)));
    measured.min_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(summary(&[7.0]), Some(Summary { median: 7.0, lower: 7.0, upper: 7.0, min: 7.0, max: 7.0 }));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn the_spread_is_the_middle_half() {
        let summary = summary(&[5.0, 1.0, 100.0, 4.0, 2.0]).unwrap();
        assert_eq!((summary.lower, summary.upper), (2.0, 5.0));
        assert_eq!((summary.min, summary.max), (1.0, 100.0));
        let even = super::summary(&[1.0, 2.0]).unwrap();
        assert_eq!((even.lower, even.upper), (1.25, 1.75));
    }

    #[test]
    fn means_are_geometric() {
        assert_eq!(geometric_mean(&[]), None);
        assert!((geometric_mean(&[0.5, 2.0]).unwrap_or(0.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_smallest_is_the_first_of_equals() {
        assert_eq!(smallest([2.0, 1.0, 1.0].map(Some)), Some(1));
        assert_eq!(smallest([None, Some(2.0), None]), Some(1));
        assert_eq!(smallest([]), None);
    }
}
