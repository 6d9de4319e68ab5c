//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::stacks::{self, STACKS, Stack};
use crate::workloads::{self, Named, WORKLOADS};

/// More rounds than this cannot be meant.
const MAX_ROUNDS: u32 = 1000;

/// Rounds, unless the user says how many.
const ROUNDS: u32 = 7;

/// The option for less work.
pub(crate) const QUICK: &str = "--quick";

/// What the program calls itself with: a workload and a stack follow.
pub(crate) const RESIDENT: &str = "--resident-growth";

/// What the user wants done.
#[derive(Debug)]
pub(crate) enum Command {
    /// Print [`help`].
    Help,
    /// Compare the stacks.
    Run(Options),
    /// Print by how many bytes one workload on one stack makes this process grow.
    Resident(&'static Named, &'static Stack, bool),
}

/// What to compare, and where to put it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// In the order in which they were named, each once.
    pub(crate) workloads: Vec<&'static Named>,
    /// How often each stack is timed.
    pub(crate) rounds: u32,
    /// Whether a tenth of the work is enough.
    pub(crate) quick: bool,
    /// Where to draw.
    pub(crate) plot: Option<PathBuf>,
    /// Where to write everything that was measured.
    pub(crate) json: Option<PathBuf>,
}

/// What `--help` prints.
pub(crate) fn help() -> String {
    let mut text = format!(
        "\
Compares {} stacks of front layers, each compiled into an allocator of its own.

Usage: stacks [OPTIONS] [WORKLOAD …]

Without a WORKLOAD all of them run, in this order:
",
        STACKS.len()
    );
    for Named { name, about, .. } in &WORKLOADS {
        text += &format!("  {name:<18} {about}\n");
    }
    text += &format!(
        "
Options:
  --plot FILE   draw the comparison into FILE, as SVG
  --json FILE   write everything that was measured into FILE, as JSON
  --rounds N    time each stack N times, 1 to {MAX_ROUNDS} (default: {ROUNDS})
  {QUICK}       do a tenth of the work: to see whether it runs, not how fast
  -h, --help    print this help

Stacks:
"
    );
    for stack in STACKS {
        text += &format!("  {}\n", stack.name);
    }
    text
}

/// Parses the arguments after the program's name; the error is a message for the user.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut options = Options { workloads: Vec::new(), rounds: ROUNDS, quick: false, plot: None, json: None };
    let mut args = args.into_iter();
    let mut resident = None;
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("-h" | "--help") => return Ok(Command::Help),
            Some("--rounds") => options.rounds = rounds(args.next())?,
            Some("--plot") => options.plot = Some(file("--plot", args.next())?),
            Some("--json") => options.json = Some(file("--json", args.next())?),
            Some(QUICK) => options.quick = true,
            Some(RESIDENT) => resident = Some((workload(args.next())?, stack(args.next())?)),
            Some(option) if option.starts_with('-') => {
                return Err(format!(
                    "unknown option {option:?}; possible: --plot FILE, --json FILE, --rounds N, {QUICK}, --help"
                ));
            }
            _ => {
                let named = workload(Some(arg))?;
                if !options.workloads.contains(&named) {
                    options.workloads.push(named);
                }
            }
        }
    }
    if let Some((workload, stack)) = resident {
        return Ok(Command::Resident(workload, stack, options.quick));
    }
    if options.workloads.is_empty() {
        options.workloads.extend(&WORKLOADS);
    }
    Ok(Command::Run(options))
}

fn workload(name: Option<OsString>) -> Result<&'static Named, String> {
    let name = name.unwrap_or_default();
    name.to_str().and_then(workloads::find).ok_or_else(|| {
        format!("unknown workload {name:?}; possible: {}", list(WORKLOADS.iter().map(|named| named.name)))
    })
}

fn stack(name: Option<OsString>) -> Result<&'static Stack, String> {
    let name = name.unwrap_or_default();
    name.to_str()
        .and_then(stacks::find)
        .ok_or_else(|| format!("unknown stack {name:?}; possible: {}", list(STACKS.iter().map(|stack| stack.name))))
}

fn list(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

fn rounds(value: Option<OsString>) -> Result<u32, String> {
    let wanted = format!("--rounds needs a whole number from 1 to {MAX_ROUNDS}");
    let value = value.ok_or_else(|| wanted.clone())?;
    let parsed = value.to_str().and_then(|text| text.parse().ok());
    parsed.filter(|rounds| (1..=MAX_ROUNDS).contains(rounds)).ok_or_else(|| format!("{wanted}, not {value:?}"))
}

/// The file after `option`. What begins with `-` is rather the next option.
fn file(option: &str, value: Option<OsString>) -> Result<PathBuf, String> {
    match value {
        Some(value) if !value.is_empty() && !value.as_encoded_bytes().starts_with(b"-") => Ok(PathBuf::from(value)),
        Some(value) => Err(format!("{option} needs the name of a file, not {value:?}")),
        None => Err(format!("{option} needs the name of a file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_str(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn options(line: &str) -> Options {
        match parse_str(line) {
            Ok(Command::Run(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn everything_is_optional() {
        let found = options("");
        assert!(found.workloads.iter().copied().eq(&WORKLOADS));
        let rest = Options { workloads: Vec::new(), rounds: 7, quick: false, plot: None, json: None };
        assert_eq!(Options { workloads: Vec::new(), ..found }, rest);
    }

    #[test]
    fn workloads_and_options_in_any_order() {
        let found = options("fifo --plot a.svg --quick lifo --rounds 3 fifo --json b.json");
        assert!(found.workloads.iter().map(|named| named.name).eq(["fifo", "lifo"]));
        assert_eq!((found.rounds, found.quick), (3, true));
        assert_eq!((found.plot, found.json), (Some(PathBuf::from("a.svg")), Some(PathBuf::from("b.json"))));
        assert!(matches!(parse_str("lifo --help"), Ok(Command::Help)));
    }

    #[test]
    fn what_the_program_calls_itself_with() {
        let Ok(Command::Resident(workload, stack, true)) = parse_str("--resident-growth burst sll --quick") else {
            panic!("that is how `resident` starts it");
        };
        assert_eq!((workload.name, stack.name), ("burst", "sll"));
    }

    #[test]
    fn mistakes_are_named_with_what_would_be_right() {
        for (line, part) in [
            ("lofi", "unknown workload \"lofi\"; possible: lifo, fifo, "),
            ("--fast", "unknown option \"--fast\"; possible: --plot FILE, "),
            ("--rounds", "--rounds needs a whole number from 1 to 1000"),
            ("--rounds 0", "not \"0\""),
            ("--rounds 1001", "not \"1001\""),
            ("--rounds few", "not \"few\""),
            ("--plot", "--plot needs the name of a file"),
            ("--plot --quick", "not \"--quick\""),
            ("--resident-growth burst no", "unknown stack \"no\"; possible: unified, "),
        ] {
            let message = parse_str(line).expect_err(line);
            assert!(message.contains(part), "{line}: {message}");
        }
    }

    #[test]
    fn the_help_names_everything() {
        let help = help();
        assert!(WORKLOADS.iter().all(|workload| help.contains(workload.name)));
        assert!(STACKS.iter().all(|stack| help.contains(stack.name)));
    }
}
