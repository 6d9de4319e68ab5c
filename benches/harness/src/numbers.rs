//! Numbers as a reader wants them.

/// A number with about three significant digits.
pub fn short(value: f64) -> String {
    match value {
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        ..99_999.5 => format!("{value:.0}"),
        _ => format!("{value:.2e}"),
    }
}

/// A ratio; a dash where there is none, or where it is a ratio to zero.
pub fn ratio(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map_or("–".to_owned(), |value| format!("{value:.2}"))
}

/// `1 round`, `5 rounds`.
pub fn rounds(count: u32) -> String {
    if count == 1 { "1 round".to_owned() } else { format!("{count} rounds") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, 1.234, 9.999, 56.78, 99.96, 1234.5].map(short),
            ["0.00", "1.23", "10.0", "56.8", "100", "1234"]
        );
        assert_eq!([0.5, 12.34, 456.7, 1_234_567.0].map(short), ["0.50", "12.3", "457", "1.23e6"]);
        assert_eq!([None, Some(f64::INFINITY), Some(0.987)].map(ratio), ["–", "–", "0.99"]);
        assert_eq!([1, 2].map(rounds), ["1 round", "2 rounds"]);
    }
}
