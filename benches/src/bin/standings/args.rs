//! The command line.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use hakmem_benches::workloads::{self, Workload};

use crate::allocators::{ALLOCATORS, Allocator};

/// Runs the same workloads on hakmem and on the allocators that a Rust program would otherwise use.
#[derive(Debug, Parser)]
#[command(name = "standings", after_help = listing())]
pub(crate) struct Options {
    /// These workloads or groups of them [default: all]
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',', value_parser = workload)]
    only: Vec<String>,
    /// Without these
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',', value_parser = workload)]
    skip: Vec<String>,
    /// What to compare, from `only` and `skip`; in the order in which they are listed, each once
    #[arg(skip)]
    pub(crate) workloads: Vec<Workload>,
    /// These allocators [default: all]
    // In the order in which they are listed, each once, after `parse`.
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',', value_parser = allocator)]
    pub(crate) allocators: Vec<&'static Allocator>,
    /// Run each workload N times on each allocator, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Do a twentieth of the work: to see whether it runs, not how fast
    #[arg(long)]
    pub(crate) quick: bool,
    /// Count instructions, too; needs valgrind
    #[arg(long)]
    pub(crate) callgrind: bool,
    /// Write everything that was measured there [default: target/standings/standings.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Replace in such a file what is measured now and keep the rest; the report says which is which
    #[arg(long, value_name = "FILE")]
    pub(crate) into: Option<PathBuf>,
    /// Measure nothing: show such a file again
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Write the report there [default: target/standings/standings.html]
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// Parses a command line, the program's name included.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Options, clap::Error> {
    let mut options = Options::try_parse_from(args)?;
    let is_in = |names: &[String], workload: &Workload| names.iter().any(|name| is_named(workload, name));
    options.workloads = workloads::all();
    options.workloads.retain(|workload| options.only.is_empty() || is_in(&options.only, workload));
    options.workloads.retain(|workload| !is_in(&options.skip, workload));
    let chosen = |allocator: &&Allocator| options.allocators.is_empty() || options.allocators.contains(allocator);
    options.allocators = ALLOCATORS.iter().filter(chosen).collect();
    if options.workloads.is_empty() {
        return Err(Options::command().error(ErrorKind::ValueValidation, "no workload is left"));
    }
    Ok(options)
}

/// Whether `name` is a workload's or its group's.
fn is_named(workload: &Workload, name: &str) -> bool {
    workload.name == name || workload.group == name
}

fn workload(name: &str) -> Result<String, &'static str> {
    let found = workloads::all().iter().any(|workload| is_named(workload, name));
    found.then(|| name.to_owned()).ok_or("unknown workload or group; --help lists them")
}

fn allocator(name: &str) -> Result<&'static Allocator, String> {
    let found = ALLOCATORS.iter().find(|allocator| allocator.name == name);
    found.ok_or_else(|| format!("unknown allocator; possible: {}", allocators()))
}

fn allocators() -> String {
    ALLOCATORS.each_ref().map(|allocator| allocator.name).join(", ")
}

/// The names that options take, for `--help`.
fn listing() -> String {
    let mut text = format!("Allocators: {}\n\nWorkloads, by group:\n", allocators());
    let mut group = "";
    for workload in workloads::all() {
        if group != workload.group {
            group = workload.group;
            let _ = writeln!(text, " {group}");
        }
        let _ = writeln!(text, "  {:<28} {}", workload.name, workload.about);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_str(line: &str) -> Result<Options, clap::Error> {
        parse(["standings"].into_iter().chain(line.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn everything_is_optional() {
        let found = parse_str("").unwrap();
        assert_eq!((found.workloads.len(), found.allocators.len()), (workloads::all().len(), ALLOCATORS.len()));
        assert_eq!((found.rounds, found.quick, found.callgrind), (5, false, false));
        assert!([found.json, found.into, found.from, found.html].iter().all(Option::is_none));
    }

    #[test]
    fn lists_have_spaces_or_commas_and_keep_the_order() {
        let line = "--only live lifo_16,lifo_16 --allocators hakmem,system --rounds 2 --json a.json --quick";
        let found = parse_str(line).unwrap();
        let names: Vec<_> = found.workloads.iter().map(|workload| workload.name).collect();
        assert_eq!(names, ["lifo_16", "live_1e3", "live_1e4", "live_1e5", "live_1e6", "live_1e7"]);
        assert!(found.allocators.iter().map(|allocator| allocator.name).eq(["system", "hakmem"]));
        assert_eq!((found.rounds, found.quick, found.json), (2, true, Some(PathBuf::from("a.json"))));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, part) in [
            ("--only", "value is required for '--only <NAME>...'"),
            ("--only live --skip live", "no workload is left"),
            ("--only lofi", "'lofi' for '--only <NAME>...': unknown workload or group"),
            ("--allocators tcmalloc", "'tcmalloc' for '--allocators <NAME>...': unknown allocator; possible: system, "),
            ("--rounds 0", "0 is not in 1..=1000"),
            ("--rounds", "value is required for '--rounds <N>'"),
            ("--json --quick", "value is required for '--json <FILE>'"),
            ("--quick yes", "unexpected argument 'yes'"),
            ("quick", "unexpected argument 'quick'"),
        ] {
            let message = parse_str(line).expect_err(line).to_string();
            assert!(message.contains(part), "{line}: {message}");
        }
    }

    #[test]
    fn the_help_names_everything() {
        let help = Options::command().render_long_help().to_string();
        assert!(workloads::all().iter().all(|workload| help.contains(workload.name)));
        assert!(ALLOCATORS.iter().all(|allocator| help.contains(allocator.name)));
    }
}
