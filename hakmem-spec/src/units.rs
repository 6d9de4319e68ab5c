//! Byte quantities with units: `"64 KiB"`.

use std::fmt;

const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Why a text is not a byte quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitError {
    /// It does not begin with a whole number.
    NotANumber,
    /// It is a number without a unit, which a string needs.
    NoUnit,
    /// The unit is not B, KiB, MiB or GiB.
    UnknownUnit,
    /// It is more than 64 bits can hold.
    TooLarge,
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotANumber => "this does not begin with a whole number",
            Self::NoUnit => "the unit is missing",
            Self::UnknownUnit => "the unit is not one of B, KiB, MiB, GiB",
            Self::TooLarge => "this is more than 64 bits can hold",
        })
    }
}

impl std::error::Error for UnitError {}

/// Reads a byte quantity such as `"64 KiB"`. The space is optional and case does not matter. The `i` is required: a KB
/// is 1000 bytes to some and 1024 to others.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() || unit.starts_with(['.', ',', '_']) {
        return Err(UnitError::NotANumber);
    }
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Err(UnitError::NoUnit);
    }
    let (_, scale) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or(UnitError::UnknownUnit)?;
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(*scale)).ok_or(UnitError::TooLarge)
}

/// Writes a byte quantity in the largest unit that divides it, so that [`parse_bytes`] reads the same number.
pub fn format_bytes(bytes: u64) -> String {
    let (name, scale) = UNITS.iter().find(|(_, scale)| bytes != 0 && bytes.is_multiple_of(*scale)).unwrap_or(&UNITS[3]);
    format!("{} {name}", bytes / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_units() {
        assert_eq!(parse_bytes("64 KiB"), Ok(65_536));
        assert_eq!(parse_bytes("64KiB"), Ok(65_536));
        assert_eq!(parse_bytes(" 2 mib "), Ok(2 << 20));
        assert_eq!(parse_bytes("8 B"), Ok(8));
        assert_eq!(parse_bytes("3 GiB"), Ok(3 << 30));
    }

    #[test]
    fn refuses_what_is_ambiguous() {
        assert_eq!(parse_bytes("64 KB"), Err(UnitError::UnknownUnit));
        assert_eq!(parse_bytes("64"), Err(UnitError::NoUnit));
        assert_eq!(parse_bytes("1.5 MiB"), Err(UnitError::NotANumber));
        assert_eq!(parse_bytes("-1 KiB"), Err(UnitError::NotANumber));
        assert_eq!(parse_bytes(""), Err(UnitError::NotANumber));
        assert_eq!(parse_bytes("99999999999 GiB"), Err(UnitError::TooLarge));
        assert_eq!(parse_bytes("99999999999999999999 B"), Err(UnitError::TooLarge));
    }

    #[test]
    fn writes_what_it_reads() {
        for bytes in [0, 1, 8, 1023, 1024, 1280, 65_536, 2 << 20, 3 << 30] {
            assert_eq!(parse_bytes(&format_bytes(bytes)), Ok(bytes));
        }
        assert_eq!(format_bytes(1280), "1280 B");
        assert_eq!(format_bytes(262_144), "256 KiB");
    }
}
