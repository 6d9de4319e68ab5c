//! `cargo hakmem tune`: rewrites a spec with the classes that waste least for a profile.

mod print;

use std::path::{Path, PathBuf};

use hakmem_spec::Spec;

use crate::failure::{Outcome, fail, say};
use crate::files;
use crate::fit::demand::Goal;
use crate::fit::tuned::{MARGIN, Options, Tuned, fit};
use crate::invocation::SpecAt;
use crate::profile::Profile;
use crate::project::{LoadedSpec, Project, Selection};

/// The command line of `cargo hakmem tune`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Profiles of recorded runs; several are added up
    #[arg(required = true, value_name = "PROFILE")]
    profiles: Vec<PathBuf>,
    /// How many classes; without it, as many as save more than they cost
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u8).range(1..))]
    classes: Option<u8>,
    /// Choose one class after the other, as other tools do, instead of all together (for comparison)
    #[arg(long)]
    greedy: bool,
    /// Print the totals as JSON
    #[arg(long)]
    json: bool,
    /// What to optimise for
    #[arg(long = "for", value_name = "GOAL", default_value = "balanced")]
    goal: Goal,
    /// Change nothing; fail if the spec costs more than the best one by more than the margin
    #[arg(long)]
    check: bool,
    /// Keep the sizes if others would save no more than this, in percent of the live bytes
    #[arg(long, value_name = "PERCENT", default_value_t = MARGIN)]
    margin: f64,
    /// Write the tuned spec here instead of replacing the old one
    #[arg(long, value_name = "PATH", conflicts_with = "check")]
    out: Option<PathBuf>,
    /// A spec to tune instead of the project's
    #[arg(long, value_name = "PATH")]
    spec: Option<PathBuf>,
    #[command(flatten)]
    selection: Selection,
}

/// Rewrites the spec, or with `--check` compares it with the best one.
pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let profile = Profile::read_all(&arguments.profiles)?;
    let place = Place::find(arguments)?;
    let loaded = place.spec()?;
    let options = Options {
        goal: arguments.goal,
        classes: arguments.classes.map(usize::from),
        greedy: arguments.greedy,
        margin: arguments.margin,
    };
    let tuned = fit(&loaded, &profile, options)?;
    if arguments.json {
        say!("{:#}", print::json(&tuned, &profile));
    } else {
        print::totals(&tuned, &profile);
    }
    if arguments.check {
        return check(&loaded.spec, &tuned, arguments);
    }
    if !arguments.json {
        print::classes(&tuned);
    }
    let place = place.write(&tuned.text)?;
    if !arguments.json {
        say!("wrote {place}");
    }
    Ok(())
}

/// Where the spec is read from, and where the tuned one is written to.
struct Place {
    project: Option<Project>,
    spec: Option<PathBuf>,
    out: Option<PathBuf>,
}

impl Place {
    fn find(arguments: &Arguments) -> Outcome<Self> {
        let project = match &arguments.spec {
            Some(_) => None,
            None => Some(Project::find(&arguments.selection)?),
        };
        let built_in = project.as_ref().is_some_and(|project| project.invocation.spec == SpecAt::Default);
        if built_in && arguments.out.is_none() && !arguments.check {
            return fail(
                "the macro uses the built-in spec, which cannot be rewritten: write to a file with --out, and name it in the \
                 macro, as in `pub struct Heap = \"classes.toml\";`",
            );
        }
        Ok(Self { project, spec: arguments.spec.clone(), out: arguments.out.clone() })
    }

    fn spec(&self) -> Outcome<LoadedSpec> {
        match (&self.project, &self.spec) {
            (_, Some(path)) => LoadedSpec::read(path),
            (Some(project), None) => project.spec(),
            (None, None) => fail("there is no spec"),
        }
    }

    /// Writes the tuned spec; returns where, for a message.
    fn write(&self, text: &str) -> Outcome<String> {
        let file = self.out.clone().or(self.spec.clone()).or(self.project.as_ref().and_then(Project::spec_file));
        if let Some(path) = file {
            files::write("the spec", &path, text)?;
            return Ok(path.display().to_string());
        }
        let Some(project) = &self.project else { return fail("there is no file for the spec") };
        let SpecAt::Inline { range, .. } = &project.invocation.spec else { return fail("the spec is built in") };
        let file: &Path = &project.invocation.file;
        let mut source = files::read("the program", file)?;
        source.replace_range(range.clone(), text);
        files::write("the program", file, &source)?;
        Ok(format!("the spec in {}", file.display()))
    }
}

/// Fails if the spec is worse than the best one by more than the margin.
fn check(spec: &Spec, tuned: &Tuned, arguments: &Arguments) -> Outcome<()> {
    let Tuned { saving, .. } = tuned;
    if *saving > arguments.margin {
        return fail(format!(
            "the spec costs {saving:.2} % of the live bytes more than the best for the profile ({} classes, the best \
             has {}); {} % are allowed",
            spec.classes.len(),
            tuned.spec.classes.len(),
            arguments.margin
        ));
    }
    say!("the spec costs {saving:.2} % of the live bytes more than the best; {} % are allowed", arguments.margin);
    Ok(())
}
