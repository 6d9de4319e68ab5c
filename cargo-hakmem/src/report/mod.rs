//! `cargo hakmem report`: everything about a program's classes in one HTML file, which needs nothing else to be read.

mod charts;
mod page;
mod svg;

use std::path::PathBuf;

use crate::asm::{self, ClassPaths};
use crate::failure::{Outcome, say};
use crate::files;
use crate::fit::demand::Goal;
use crate::profile::Profile as Recording;
use crate::project::{Build, LoadedSpec, Project, Selection};
use crate::tune::{self, Tuned, Wish};

/// Its command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Profiles of recorded runs, which are added up
    #[arg(required = true, value_name = "PROFILE")]
    profiles: Vec<PathBuf>,
    /// Where the report goes
    #[arg(short, long, value_name = "PATH", default_value = "hakmem-report.html")]
    output: PathBuf,
    /// What the classes are chosen for
    #[arg(long = "for", value_name = "GOAL", default_value = "balanced")]
    goal: Goal,
    /// Leave out what needs the program to be built
    #[arg(long)]
    no_asm: bool,
    #[command(flatten)]
    build: Build,
    #[command(flatten)]
    selection: Selection,
}

/// What a report tells of.
struct Subject<'a> {
    recording: &'a Recording,
    spec: &'a LoadedSpec,
    tuned: &'a Tuned,
    /// The hit paths of the spec in force; none where they were left out.
    paths: &'a [ClassPaths],
}

/// Writes the report. Changes nothing else.
pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let project = Project::find(&arguments.selection)?;
    let recording = Recording::read_all(&arguments.profiles)?;
    let spec = project.spec()?;
    let tuned = tune::tune(&spec, &recording, Wish { goal: arguments.goal, ..Wish::default() })?;
    let paths = if arguments.no_asm {
        Vec::new()
    } else {
        let binary = project.build(&arguments.build, "anchors")?;
        asm::read(&project, &spec.spec.classes, &binary)?
    };
    let subject = Subject { recording: &recording, spec: &spec, tuned: &tuned, paths: &paths };
    let html = page::page(&subject);
    files::write("the report", &arguments.output, &html)?;
    say!("wrote {}", arguments.output.display());
    Ok(())
}
