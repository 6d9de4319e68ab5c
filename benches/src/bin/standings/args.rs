//! The command line.

use std::fmt::Write as _;
use std::path::PathBuf;

use hakmem_benches::workloads::{self, Workload};

use crate::allocators::{ALLOCATORS, Allocator};

/// More rounds than this cannot be meant.
const MAX_ROUNDS: u32 = 1000;

/// Rounds, unless the user says how many.
const ROUNDS: u32 = 5;

/// What the user wants done.
#[derive(Debug)]
pub(crate) enum Command {
    /// Print [`help`].
    Help,
    /// Compare.
    Run(Options),
}

/// What to compare, and where to put it.
#[derive(Debug)]
pub(crate) struct Options {
    /// In the order in which they are listed, each once.
    pub(crate) workloads: Vec<Workload>,
    /// In the order in which they are listed, each once.
    pub(crate) allocators: Vec<&'static Allocator>,
    /// How often each workload runs on each allocator.
    pub(crate) rounds: u32,
    /// Whether a twentieth of the work is enough.
    pub(crate) quick: bool,
    /// Whether instructions are counted, too.
    pub(crate) callgrind: bool,
    /// Where to write everything that was measured.
    pub(crate) json: Option<PathBuf>,
    /// Where an earlier run's results are that this run's are written into.
    pub(crate) into: Option<PathBuf>,
    /// Where the results are that are to be shown, nothing being measured.
    pub(crate) from: Option<PathBuf>,
    /// Where to write the report.
    pub(crate) html: Option<PathBuf>,
}

/// What `--help` prints.
pub(crate) fn help() -> String {
    let mut text = format!(
        "\
Runs the same workloads on hakmem and on the allocators one would otherwise pick.

Usage: standings [OPTIONS]

Options:
  --only NAME …        these workloads or groups of them (default: all)
  --skip NAME …        without these
  --allocators NAME …  these allocators (default: all)
  --rounds N           run each workload N times on each allocator, 1 to {MAX_ROUNDS} (default: {ROUNDS})
  --quick              do a twentieth of the work: to see whether it runs, not how fast
  --callgrind          count instructions, too; needs valgrind
  --json FILE          write everything that was measured there (default: target/standings/standings.json)
  --into FILE          replace in such a file what is measured now and keep the rest; the report says which is which
  --from FILE          measure nothing: show such a file again
  --html FILE          write the report there (default: target/standings/standings.html)
  -h, --help           print this help

Allocators: {}

Workloads, by group:
",
        names(ALLOCATORS.iter().map(|allocator| allocator.name)),
    );
    let mut group = "";
    for workload in workloads::all() {
        if group != workload.group {
            group = workload.group;
            let _ = writeln!(text, " {group}");
        }
        let _ = writeln!(text, "  {:<20} {}", workload.name, workload.about);
    }
    text
}

/// Parses the arguments after the program's name; the error is a message for the user.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut options = Options {
        workloads: workloads::all(),
        allocators: ALLOCATORS.iter().collect(),
        rounds: ROUNDS,
        quick: false,
        callgrind: false,
        json: None,
        into: None,
        from: None,
        html: None,
    };
    let mut skipped = Vec::new();
    let mut args = args.into_iter().peekable();
    while let Some(arg) = args.next() {
        // An option's values: all that does not begin with a dash; a list may have commas, too.
        let mut values = Vec::new();
        while let Some(value) = args.next_if(|next| !next.starts_with('-')) {
            values.push(value);
        }
        let list: Vec<&str> =
            values.iter().flat_map(|value| value.split(',')).filter(|name| !name.is_empty()).collect();
        match arg.as_str() {
            "-h" | "--help" => return Ok(Command::Help),
            "--only" => options.workloads = chosen_workloads(&arg, &list)?,
            "--skip" => skipped = chosen_workloads(&arg, &list)?,
            "--allocators" => options.allocators = chosen_allocators(&list)?,
            "--rounds" => options.rounds = rounds(&values)?,
            "--json" => options.json = Some(file(&arg, &values)?),
            "--into" => options.into = Some(file(&arg, &values)?),
            "--from" => options.from = Some(file(&arg, &values)?),
            "--html" => options.html = Some(file(&arg, &values)?),
            "--quick" | "--callgrind" if !values.is_empty() => return Err(format!("{arg} takes no value")),
            "--quick" => options.quick = true,
            "--callgrind" => options.callgrind = true,
            _ => return Err(format!("unknown option {arg:?}")),
        }
    }
    options.workloads.retain(|workload| !skipped.iter().any(|skipped| skipped.name == workload.name));
    if options.workloads.is_empty() { Err("no workload is left".to_owned()) } else { Ok(Command::Run(options)) }
}

fn chosen_workloads(option: &str, names: &[&str]) -> Result<Vec<Workload>, String> {
    let all = workloads::all();
    let named = |workload: &Workload, name: &str| workload.name == name || workload.group == name;
    if names.is_empty() {
        return Err(format!("{option} needs a workload or a group"));
    }
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|workload| named(workload, name))) {
        return Err(format!("unknown workload or group {unknown:?}; --help lists them"));
    }
    Ok(all.into_iter().filter(|workload| names.iter().any(|name| named(workload, name))).collect())
}

fn chosen_allocators(chosen: &[&str]) -> Result<Vec<&'static Allocator>, String> {
    let possible = names(ALLOCATORS.iter().map(|allocator| allocator.name));
    if chosen.is_empty() {
        return Err(format!("--allocators needs a name; possible: {possible}"));
    }
    if let Some(unknown) = chosen.iter().find(|name| !ALLOCATORS.iter().any(|allocator| allocator.name == **name)) {
        return Err(format!("unknown allocator {unknown:?}; possible: {possible}"));
    }
    Ok(ALLOCATORS.iter().filter(|allocator| chosen.contains(&allocator.name)).collect())
}

fn names(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

fn rounds(values: &[String]) -> Result<u32, String> {
    let parsed = if let [value] = values { value.parse().ok() } else { None };
    parsed
        .filter(|rounds| (1..=MAX_ROUNDS).contains(rounds))
        .ok_or_else(|| format!("--rounds needs a whole number from 1 to {MAX_ROUNDS}, not {:?}", values.join(" ")))
}

fn file(option: &str, values: &[String]) -> Result<PathBuf, String> {
    match values {
        [path] => Ok(PathBuf::from(path)),
        _ => Err(format!("{option} needs the name of a file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_str(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(String::from))
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
        assert_eq!(found.allocators.len(), ALLOCATORS.len());
        assert_eq!((found.rounds, found.quick, found.callgrind), (ROUNDS, false, false));
    }

    #[test]
    fn lists_have_spaces_or_commas_and_keep_the_order() {
        let found = options("--only live lifo_16,lifo_16 --allocators hakmem,system --rounds 2 --json a.json --quick");
        let names: Vec<_> = found.workloads.iter().map(|workload| workload.name).collect();
        assert_eq!(names, ["lifo_16", "live_1e3", "live_1e4", "live_1e5", "live_1e6", "live_1e7"]);
        assert!(found.allocators.iter().map(|allocator| allocator.name).eq(["system", "hakmem"]));
        assert_eq!((found.rounds, found.quick, found.json), (2, true, Some(PathBuf::from("a.json"))));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, part) in [
            ("--only", "--only needs"),
            ("--only live --skip live", "no workload is left"),
            ("--only lofi", "unknown workload or group \"lofi\""),
            ("--allocators tcmalloc", "unknown allocator \"tcmalloc\"; possible: system, "),
            ("--rounds 0", "not \"0\""),
            ("--rounds", "--rounds needs"),
            ("--json --quick", "--json needs the name of a file"),
            ("--quick yes", "--quick takes no value"),
            ("quick", "unknown option \"quick\""),
        ] {
            let message = parse_str(line).expect_err(line);
            assert!(message.contains(part), "{line}: {message}");
        }
    }

    #[test]
    fn the_help_names_everything() {
        let help = help();
        assert!(workloads::all().iter().all(|workload| help.contains(workload.name)));
        assert!(ALLOCATORS.iter().all(|allocator| help.contains(allocator.name)));
    }
}
