//! Stacks of front layers, compared on patterns of allocation.
//!
//! ```text
//! cargo run --release --example stacks -- [WORKLOAD …] [--plot FILE.svg] [--rounds N] [--json FILE] [--quick]
//! ```
//!
//! Which layers a class should have depends on what the program does. Here each stack is an allocator of its own,
//! compiled by `hakmem::allocator!` into this one program and called directly; the program itself runs on the system's
//! allocator. So nothing but the stack differs between two rows of a table. One stack is there twice, under two names:
//! differences that are not larger than between these two say nothing.
//!
//! * Time is taken of a whole workload. The stacks take turns, round by round, so that a change of the machine's speed
//!   meets all of them.
//! * Single operations are timed in runs of their own, because the clock takes longer than an allocation.
//! * Counters are read from a twin of each stack that is not timed.
//! * Memory is measured in a new process for each workload and stack: in one that has run others, pages are resident
//!   already.
//!
//! The modules: `stacks` and `workloads` are what is compared; `subject` and `probe` stand between the two; `measure`
//! makes the rounds with `resident`, `clock`, `histogram` and `statistics`; `table`, `json` and `plot` show the
//! results.

mod args;
mod clock;
mod histogram;
mod json;
mod measure;
mod plot;
mod probe;
mod progress;
mod resident;
mod stacks;
mod statistics;
mod subject;
mod table;
mod workloads;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, thread};

use args::{Command, Options};
use measure::{Comparison, Scale};
use progress::Progress;
use stacks::{STACKS, Stack};
use workloads::Named;

/// Exit code for a command line that makes no sense.
const BAD_ARGUMENTS: u8 = 2;
/// Exit code for a sensible command line that could not be carried out.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let outcome = match args::parse(env::args_os().skip(1)) {
        Ok(Command::Run(options)) => run(&options),
        Ok(Command::Resident(workload, stack, quick)) => print_growth(workload, stack, quick),
        Ok(Command::Help) => io::stdout().write_all(args::help().as_bytes()),
        Err(message) => return fail(BAD_ARGUMENTS, &format!("{message} (see --help)")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough (`stacks | head`): that is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &error.to_string()),
    }
}

/// Says on one line why there is no result.
fn fail(code: u8, message: &str) -> ExitCode {
    // Not `eprintln!`, which panics when stderr is closed.
    let _ = writeln!(io::stderr(), "stacks: {message}");
    ExitCode::from(code)
}

/// Compares the stacks on each workload that was asked for, and shows each result as soon as it is there.
fn run(options: &Options) -> io::Result<()> {
    // A file that cannot be written shall be noticed now and not after minutes.
    let plot = create(options.plot.as_deref())?;
    let json = create(options.json.as_deref())?;
    if let Some(stack) = STACKS.iter().find(|stack| !(stack.serves)()) {
        return Err(io::Error::other(format!("the stack {} does not serve what is asked of it", stack.name)));
    }
    let mut out = BufWriter::new(io::stdout().lock());
    table::legend(&mut out, options)?;
    out.flush()?;

    let mut progress = Progress::new(measure::turns(options) * options.workloads.len() as u32);
    let mut comparisons: Vec<Comparison> = Vec::new();
    for &workload in &options.workloads {
        let comparison = measure::compare(workload, options, &mut progress);
        progress.clear();
        let comparison = comparison?;
        table::comparison(&mut out, &comparison)?;
        out.flush()?;
        comparisons.push(comparison);
    }
    if let Some((path, mut file)) = plot {
        file.write_all(plot::svg(&comparisons, &note(options)).as_bytes()).map_err(|error| about(&path, &error))?;
    }
    if let Some((path, file)) = json {
        let mut file = BufWriter::new(file);
        json::write(&mut file, options, &comparisons)
            .and_then(|()| file.flush())
            .map_err(|error| about(&path, &error))?;
    }
    Ok(())
}

/// How the plot's numbers came about.
fn note(options: &Options) -> String {
    let rounds = table::rounds(options.rounds);
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let quick = if options.quick { "; --quick: a tenth of the work, the times say little" } else { "" };
    format!(
        "ns for an allocation and its free, shorter is better; median of {rounds}, whiskers: their middle half; \
         * the least median; processors: {processors}{quick}"
    )
}

/// Creates the file that the user named, if so.
fn create(path: Option<&Path>) -> io::Result<Option<(PathBuf, File)>> {
    let Some(path) = path else { return Ok(None) };
    let file = File::create(path).map_err(|error| about(path, &error))?;
    Ok(Some((path.to_owned(), file)))
}

/// An error that names the file.
fn about(path: &Path, error: &io::Error) -> io::Error {
    // Of no other kind: a broken pipe that the user named as a file is a failure.
    io::Error::other(format!("cannot write {}: {error}", path.display()))
}

/// What the program does when `resident` has started it: one workload on one stack.
fn print_growth(workload: &Named, stack: &Stack, quick: bool) -> io::Result<()> {
    let scale = if quick { Scale::Quick } else { Scale::Full };
    match (stack.cells[workload.index].memory)(scale) {
        Some(bytes) => writeln!(io::stdout(), "{bytes}"),
        None => writeln!(io::stdout(), "unknown"),
    }
}
