//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use crate::cell::Scale;
use crate::stacks::{self, STACKS, Stack};
use crate::workloads::{self, Named, WORKLOADS};

/// Compares stacks of layers, each compiled into an allocator of its own.
#[derive(Debug, Parser)]
#[command(name = "stacks", after_help = listing())]
pub(crate) struct Options {
    /// What to run, in this order [default: all workloads]
    // Each once, after `parse`.
    #[arg(value_name = "WORKLOAD", value_parser = workload)]
    pub(crate) workloads: Vec<&'static Named>,
    /// Draw the comparison into FILE, as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Write everything that was measured into FILE, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Time each stack N times, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Do a tenth of the work: to see whether it runs, not how fast
    #[arg(long)]
    pub(crate) quick: bool,
    /// Print by how many bytes the workload makes this process grow on STACK, and do nothing else. The program starts
    /// itself with it: see `resident`
    #[arg(long, value_name = "STACK", value_parser = stack, hide = true)]
    pub(crate) growth_on: Option<&'static Stack>,
}

impl Options {
    /// How much each workload does.
    pub(crate) fn scale(&self) -> Scale {
        if self.quick { Scale::Quick } else { Scale::Full }
    }
}

/// Parses a command line, the program's name included.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Options, clap::Error> {
    let mut options = Options::try_parse_from(args)?;
    let named = std::mem::take(&mut options.workloads);
    for workload in if named.is_empty() { WORKLOADS.iter().collect() } else { named } {
        if !options.workloads.contains(&workload) {
            options.workloads.push(workload);
        }
    }
    Ok(options)
}

/// The arguments with which the program starts itself to measure `workload` on `stack`.
pub(crate) fn growth(workload: &Named, stack: &Stack, scale: Scale) -> Vec<&'static str> {
    let mut args = vec![workload.name, "--growth-on", stack.name];
    args.extend((scale == Scale::Quick).then_some("--quick"));
    args
}

fn workload(name: &str) -> Result<&'static Named, String> {
    let names = || WORKLOADS.each_ref().map(|workload| workload.name).join(", ");
    workloads::find(name).ok_or_else(|| format!("unknown workload; possible: {}", names()))
}

fn stack(name: &str) -> Result<&'static Stack, &'static str> {
    stacks::find(name).ok_or("unknown stack")
}

/// The workloads and stacks, for `--help`.
fn listing() -> String {
    let workloads = WORKLOADS.iter().map(|workload| format!("  {:<18} {}\n", workload.name, workload.about));
    let stacks = STACKS.iter().map(|stack| format!("  {}\n", stack.name));
    format!("Workloads:\n{}\nStacks:\n{}", workloads.collect::<String>(), stacks.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Options, clap::Error> {
        parse(["stacks"].into_iter().chain(words).map(OsString::from))
    }

    fn parse_str(line: &str) -> Result<Options, clap::Error> {
        parse_words(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn everything_is_optional() {
        let found = parse_str("").unwrap();
        assert!(found.workloads.iter().copied().eq(&WORKLOADS));
        assert_eq!((found.rounds, found.quick, found.plot, found.json), (7, false, None, None));
        assert!(found.growth_on.is_none());
    }

    #[test]
    fn workloads_and_options_in_any_order() {
        let found = parse_str("fifo --plot a.svg --quick lifo --rounds 3 fifo --json b.json").unwrap();
        assert!(found.workloads.iter().map(|named| named.name).eq(["fifo", "lifo"]));
        assert_eq!((found.rounds, found.quick), (3, true));
        assert_eq!((found.plot, found.json), (Some(PathBuf::from("a.svg")), Some(PathBuf::from("b.json"))));
    }

    #[test]
    fn what_the_program_starts_itself_with() {
        for stack in STACKS {
            let found = parse_words(growth(&WORKLOADS[3], stack, Scale::Quick)).unwrap();
            assert_eq!((found.workloads, found.quick), (vec![&WORKLOADS[3]], true));
            assert!(found.growth_on.is_some_and(|found| std::ptr::eq(found, stack)), "{}", stack.name);
        }
    }

    #[test]
    fn mistakes_are_named_with_what_would_be_right() {
        for (line, part) in [
            ("lofi", "'lofi' for '[WORKLOAD]...': unknown workload; possible: lifo, fifo, "),
            ("--fast", "unexpected argument '--fast'"),
            ("--rounds", "value is required for '--rounds <N>'"),
            ("--rounds 0", "0 is not in 1..=1000"),
            ("--rounds 1001", "1001 is not in 1..=1000"),
            ("--rounds few", "invalid value 'few' for '--rounds <N>'"),
            ("--plot", "value is required for '--plot <FILE>'"),
            ("--plot --quick", "value is required for '--plot <FILE>'"),
            ("burst --growth-on no", "'no' for '--growth-on <STACK>': unknown stack"),
        ] {
            let message = parse_str(line).expect_err(line).to_string();
            assert!(message.contains(part), "{line}: {message}");
        }
    }

    #[test]
    fn the_help_names_everything() {
        let help = Options::command().render_long_help().to_string();
        assert!(WORKLOADS.iter().all(|workload| help.contains(workload.name)));
        assert!(STACKS.iter().all(|stack| help.contains(stack.name)));
    }
}
