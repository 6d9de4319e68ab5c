//! The command line.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Builds an inverted index over all text files below FOLDER, on a hakmem allocator.

Usage: quickstart [OPTIONS] [FOLDER]

FOLDER defaults to the sources cargo has unpacked ($CARGO_HOME/registry/src), or to this
repository if there are none.

Options:
  --threads N   worker threads, 1 to 256 (default: one for each processor, at least 2)
  --limit-mb N  stop reading after N MB of text, 1 to 1000000 (default: read everything)
  -h, --help    print this help
";

/// A larger number of workers is taken for a mistake.
pub(crate) const MAX_THREADS: usize = 256;

/// The largest `--limit-mb`: a terabyte.
const MAX_LIMIT_MB: usize = 1_000_000;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Print [`HELP`].
    Help,
    /// Build an index.
    Run(Options),
}

/// How to build the index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The folder to index, if the user named one.
    pub(crate) folder: Option<PathBuf>,
    /// The number of workers, if the user chose one.
    pub(crate) threads: Option<usize>,
    /// Read no further file after this many bytes of text.
    pub(crate) limit: u64,
}

/// Parses the arguments after the program's name; the error is a message for the user.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut options = Options { folder: None, threads: None, limit: u64::MAX };
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("-h" | "--help") => return Ok(Command::Help),
            Some("--threads") => options.threads = Some(number("--threads", args.next(), 1..=MAX_THREADS)?),
            Some("--limit-mb") => {
                options.limit = number("--limit-mb", args.next(), 1..=MAX_LIMIT_MB)? as u64 * 1_000_000;
            }
            Some(option) if option.starts_with('-') => return Err(format!("unknown option {option:?}")),
            _ if options.folder.is_some() => return Err(format!("one folder only: {arg:?} is too many")),
            _ => options.folder = Some(PathBuf::from(arg)),
        }
    }
    Ok(Command::Run(options))
}

/// The value of `option`, which must be a whole number within `range`.
fn number(option: &str, value: Option<OsString>, range: RangeInclusive<usize>) -> Result<usize, String> {
    let (low, high) = (range.start(), range.end());
    let wanted = format!("{option} needs a whole number from {low} to {high}");
    let value = value.ok_or_else(|| wanted.clone())?;
    let parsed = value.to_str().and_then(|text| text.parse().ok());
    parsed.filter(|n| range.contains(n)).ok_or_else(|| format!("{wanted}, not {value:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_str(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn everything_is_optional() {
        let expected = Options { folder: None, threads: None, limit: u64::MAX };
        assert_eq!(parse_str(""), Ok(Command::Run(expected)));
    }

    #[test]
    fn options_and_folder_in_any_order() {
        let expected = Options { folder: Some(PathBuf::from("some/folder")), threads: Some(3), limit: 7_000_000 };
        assert_eq!(parse_str("--threads 3 some/folder --limit-mb 7"), Ok(Command::Run(expected)));
        assert_eq!(parse_str("somewhere --help"), Ok(Command::Help));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, part) in [
            ("--threads", "--threads needs a whole number from 1 to 256"),
            ("--threads 0", "not \"0\""),
            ("--threads 257", "not \"257\""),
            ("--limit-mb -1", "not \"-1\""),
            ("--limit-mb ten", "not \"ten\""),
            ("--fast", "unknown option \"--fast\""),
            ("one two", "\"two\" is too many"),
        ] {
            let message = parse_str(line).expect_err(line);
            assert!(message.contains(part), "{line}: {message}");
        }
    }
}
