//! `cargo hakmem report`: a self-contained HTML page about a program's classes.

mod charts;
mod page;
mod svg;

use std::path::PathBuf;

use crate::asm::{self, ClassPaths};
use crate::failure::{Outcome, say};
use crate::files;
use crate::fit::demand::Goal;
use crate::fit::tuned::{self, Tuned};
use crate::profile::Profile as Recording;
use crate::project::{ANCHORS, Build, LoadedSpec, Project, Selection};

/// The command line of `cargo hakmem report`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Profiles of recorded runs; several are added up
    #[arg(required = true, value_name = "PROFILE")]
    profiles: Vec<PathBuf>,
    /// Where to write the report
    #[arg(short, long, value_name = "PATH", default_value = "hakmem-report.html")]
    output: PathBuf,
    /// What to optimise for
    #[arg(long = "for", value_name = "GOAL", default_value = "balanced")]
    goal: Goal,
    /// Do not build the program; leave out its machine code
    #[arg(long)]
    no_asm: bool,
    #[command(flatten)]
    build: Build,
    #[command(flatten)]
    selection: Selection,
}

/// What a report is about.
struct Subject<'a> {
    recording: &'a Recording,
    spec: &'a LoadedSpec,
    tuned: &'a Tuned,
    /// The hit paths under the current spec; empty with `--no-asm`.
    paths: &'a [ClassPaths],
}

/// Writes the report, and changes nothing else.
pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let project = Project::find(&arguments.selection)?;
    let recording = Recording::read_all(&arguments.profiles)?;
    let spec = project.spec()?;
    let tuned = tuned::fit(&spec, &recording, tuned::Options { goal: arguments.goal, ..Default::default() })?;
    let paths = if arguments.no_asm {
        Vec::new()
    } else {
        let binary = project.build(&arguments.build, ANCHORS)?;
        asm::read(&project, &spec.spec.classes, &binary)?
    };
    let subject = Subject { recording: &recording, spec: &spec, tuned: &tuned, paths: &paths };
    let html = page::page(&subject);
    files::write("the report", &arguments.output, &html)?;
    say!("wrote {}", arguments.output.display());
    Ok(())
}
