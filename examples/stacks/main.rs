//! Stacks of layers, compared on patterns of allocation.
//!
//! ```text
//! cargo run --release --example stacks -- [WORKLOAD …] [--plot FILE.svg] [--rounds N] [--json FILE] [--quick]
//! ```
//!
//! Which layers a class should have depends on what the program does. Here each stack is an allocator of its own,
//! compiled by `hakmem::allocator!` into this one program and called directly; the program itself runs on the system's
//! allocator. So nothing but the stack differs between two rows of a table. One stack is there twice, under two names:
//! differences no larger than between these two are noise.
//!
//! * Time is taken of a whole workload. The stacks take turns, round by round, so that a change of the machine's speed
//!   affects all of them.
//! * Single operations are timed in separate runs, because reading the clock takes longer than an allocation.
//! * Counters are read from a second allocator with the same layers, which is not timed.
//! * Memory is measured in a new process for each workload and stack: in one that has run others, pages are resident
//!   already.
//!
//! The modules, each above those that it uses: `probe` measures, `subject` is an allocator as a workload sees it,
//! `cell` is one workload on one stack, `workloads` and `stacks` are the two tables, `compare` makes the rounds (memory
//! by `resident`), and `table`, `json` and `plot` show the results. What has nothing to do with stacks is in
//! `benches/harness`.

mod args;
mod cell;
mod compare;
mod json;
mod plot;
mod probe;
mod resident;
mod stacks;
mod subject;
mod table;
mod workloads;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, thread};

use hakmem_harness::numbers::rounds;
use hakmem_harness::output::{self, Output};
use hakmem_harness::progress::Progress;

use args::Options;
use compare::Comparison;
use stacks::{STACKS, Stack};

fn main() -> ExitCode {
    let options = args::parse(env::args_os()).unwrap_or_else(|error| error.exit());
    output::exit_code(
        "stacks",
        match options.growth_on {
            Some(stack) => print_growth(&options, stack),
            None => run(&options),
        },
    )
}

/// Compares the stacks on each workload that was asked for, and prints each table as soon as it is complete.
fn run(options: &Options) -> Result<(), String> {
    // Fail now, not after minutes, if a file cannot be written.
    let create = |path: &Option<PathBuf>| path.as_deref().map(Output::create).transpose();
    let (plot, json) = (create(&options.plot)?, create(&options.json)?);
    if let Some(stack) = STACKS.iter().find(|stack| !(stack.serves)()) {
        return Err(format!("the stack {} does not serve what is asked of it", stack.name));
    }
    output::print_with(|out| table::legend(out, options))?;

    let mut progress = Progress::new(compare::turns(options) * options.workloads.len());
    let mut comparisons: Vec<Comparison> = Vec::new();
    for &workload in &options.workloads {
        let comparison = compare::compare(workload, options, &mut progress);
        progress.clear();
        let comparison = comparison?;
        output::print_with(|out| table::comparison(out, &comparison))?;
        comparisons.push(comparison);
    }
    if let Some(plot) = plot {
        plot.write(|file| file.write_all(plot::svg(&comparisons, &note(options)).as_bytes()))?;
    }
    if let Some(json) = json {
        json.write(|file| Ok(serde_json::to_writer(file, &json::value(options, &comparisons))?))?;
    }
    Ok(())
}

/// How the plot's numbers were measured.
fn note(options: &Options) -> String {
    let rounds = rounds(options.rounds);
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let quick = if options.quick { "; --quick: a tenth of the work, the times say little" } else { "" };
    format!(
        "ns for an allocation and its free, shorter is better; median of {rounds}, whiskers: their middle half; \
         green: the least median; processors: {processors}{quick}"
    )
}

/// What the program does when `resident` has started it: one workload on one stack.
fn print_growth(options: &Options, stack: &Stack) -> Result<(), String> {
    let grown = (stack.cells[options.workloads[0].index].memory)(options.scale());
    output::print(&grown.map_or("unknown\n".to_owned(), |bytes| format!("{bytes}\n")))
}
