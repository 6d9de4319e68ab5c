//! The command line.

use crate::specs::{self, SPECS, Spec};
use std::ffi::{OsStr, OsString};
use std::ops::RangeInclusive;
use std::time::Duration;

/// What `--help` prints, but for the list of specs.
pub(crate) const HELP: &str = "\
Works on an allocator in many threads that come and go, while the system refuses what it can refuse, and checks each block.

Usage: soak [OPTIONS]

Options:
  --spec F      name or file of one of the specs below (default: all, one after the other, each in its own process)
  --seconds N   how long, for each spec, 1 to 1000000 (default: 10)
  --threads N   threads at a time, 1 to 256 (default: 8)
  --seed N      the random numbers of another run (default: 1)
  -h, --help    print this help

";

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Run(Options),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    /// The one of this number in [`SPECS`]; all of them if the user named none.
    pub(crate) spec: Option<usize>,
    pub(crate) seconds: u32,
    pub(crate) threads: u32,
    pub(crate) seed: u32,
}

impl Options {
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

/// Parses the arguments after the program's name; the error is a message for the user.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut options = Options { spec: None, seconds: 10, threads: 8, seed: 1 };
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("-h" | "--help") => return Ok(Command::Help),
            Some("--spec") => options.spec = Some(spec(args.next().as_deref())?),
            Some("--seconds") => options.seconds = number("--seconds", args.next(), 1..=1_000_000)?,
            Some("--threads") => options.threads = number("--threads", args.next(), 1..=256)?,
            Some("--seed") => options.seed = number("--seed", args.next(), 0..=u32::MAX)?,
            _ => return Err(format!("unknown option {arg:?}")),
        }
    }
    Ok(Command::Run(options))
}

fn spec(value: Option<&OsStr>) -> Result<usize, String> {
    let value = value.ok_or("--spec needs a name or a file")?;
    specs::find(value).ok_or_else(|| {
        let names: Vec<&str> = SPECS.iter().map(|spec: &Spec| spec.name).collect();
        format!(
            "no spec {value:?} is compiled into this program: there are {}. For another, add a line to \
             examples/soak/specs.rs",
            names.join(", ")
        )
    })
}

/// The value of `option`, which must be a whole number within `range`.
fn number(option: &str, value: Option<OsString>, range: RangeInclusive<u32>) -> Result<u32, String> {
    let wanted = format!("{option} needs a whole number from {} to {}", range.start(), range.end());
    let value = value.ok_or_else(|| wanted.clone())?;
    let parsed = value.to_str().and_then(|text| text.parse().ok());
    parsed.filter(|number| range.contains(number)).ok_or_else(|| format!("{wanted}, not {value:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn everything_is_optional() {
        let expected = Options { spec: None, seconds: 10, threads: 8, seed: 1 };
        assert_eq!(parse_line(""), Ok(Command::Run(expected)));
        let expected = Options { spec: Some(1), seconds: 75, threads: 2, seed: 7 };
        assert_eq!(parse_line("--seed 7 --spec preload --threads 2 --seconds 75"), Ok(Command::Run(expected)));
        assert_eq!(parse_line("--seconds 3 --help"), Ok(Command::Help));
    }

    #[test]
    fn a_spec_has_a_name_and_a_file() {
        for (number, spec) in SPECS.iter().enumerate() {
            let file = specs::path(spec);
            assert!(file.is_file(), "{file:?}");
            assert_eq!(specs::find(OsStr::new(spec.name)), Some(number));
            assert_eq!(specs::find(file.as_os_str()), Some(number));
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (line, part) in [
            ("--seconds", "--seconds needs a whole number from 1 to 1000000"),
            ("--seconds 0", "not \"0\""),
            ("--threads many", "not \"many\""),
            ("--spec", "needs a name or a file"),
            ("--spec Cargo.toml", "no spec \"Cargo.toml\" is compiled into this program: there are default, preload"),
            ("--fast", "unknown option \"--fast\""),
            ("classes.toml", "unknown option \"classes.toml\""),
        ] {
            let message = parse_line(line).expect_err(line);
            assert!(message.contains(part), "{line}: {message}");
        }
    }
}
