//! `cargo hakmem record`: builds the program with the recorder, runs it, and merges the profiles of its processes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{SystemTime, UNIX_EPOCH};

use hakmem_spec::format_bytes;

use crate::failure::{Outcome, fail, note, say};
use crate::profile::Profile as Recording;
use crate::project::{Build, Project, RECORD, Selection};

/// Its command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where the profile goes
    #[arg(short, long, value_name = "PATH", default_value = "hakmem.profile")]
    output: PathBuf,
    /// Run the program N times and add up the profiles, if its threads interleave differently in each run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    #[command(flatten)]
    build: Build,
    #[command(flatten)]
    selection: Selection,
    /// The program's arguments
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

/// Records runs. If the program fails, its profile is written and the command fails, too.
pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let project = Project::find(&arguments.selection)?;
    // A long run should not be lost because the profile cannot be written, and the errors of a spec are better than
    // those of the failed build that it causes.
    project.spec()?;
    if !arguments.output.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder.is_dir()) {
        return fail(format!("cannot write the profile {}: there is no such folder", arguments.output.display()));
    }
    let program = project.build(&arguments.build, RECORD)?;
    let folder = run_folder(&project)?;
    // Ctrl-C interrupts the program alone: its profile is merged afterwards.
    ctrlc::set_handler(|| {})?;
    let mut status = ExitStatus::default();
    for run in 1..=arguments.runs {
        let mut command = Command::new(&program);
        command.args(&arguments.arguments).env("HAKMEM_PROFILE", folder.join(format!("run-{run}")));
        status = command.status().or_else(|error| fail(format!("cannot run {}: {error}", program.display())))?;
        if !status.success() {
            break;
        }
    }
    let recording = merge(&folder)?;
    if recording.runs == 0 {
        return fail(format!(
            "{} wrote no profile ({status}): it has to exit, abort, or end by a signal that can be caught",
            program.display()
        ));
    }
    recording
        .write(&arguments.output)
        .or_else(|failure| fail(format!("{failure}; what each process recorded is in {}", folder.display())))?;
    std::fs::remove_dir_all(&folder)?;
    summarise(&recording, &arguments.output);
    if status.success() { Ok(()) } else { fail(format!("the profile is written, but the program ended with {status}")) }
}

/// Makes a folder for the profiles of the processes.
fn run_folder(project: &Project) -> Outcome<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    let folder = project.output().join(format!("run-{}-{now}", std::process::id()));
    std::fs::create_dir_all(&folder)
        .or_else(|error| fail(format!("cannot make the folder {}: {error}", folder.display())))?;
    Ok(folder)
}

/// The sum of the profiles in a folder. If there are several, one that is incomplete because its process was killed is
/// left out.
fn merge(folder: &Path) -> Outcome<Recording> {
    let mut profiles = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Outcome<Vec<PathBuf>>>()?;
    profiles.sort();
    let mut all = Recording::default();
    for profile in &profiles {
        match Recording::read(profile) {
            Ok(recording) => all.merge(&recording),
            Err(failure) if profiles.len() == 1 => return Err(failure),
            Err(failure) => note(&format!("a process is left out: {failure}")),
        }
    }
    Ok(all)
}

fn summarise(recording: &Recording, path: &Path) {
    let runs = if recording.runs == 1 { String::new() } else { format!(" in {} processes", recording.runs) };
    say!(
        "{}: {} allocations of {} sizes by {} threads{runs}; at most {} alive",
        path.display(),
        recording.allocations(),
        recording.requests.len(),
        recording.threads.iter().map(|thread| thread.threads).sum::<u64>(),
        rounded(recording.peak / recording.runs.max(1)),
    );
}

/// Bytes in the largest unit of which there is at least one.
pub(crate) fn rounded(bytes: u64) -> String {
    let (unit, name) = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
        .into_iter()
        .find(|(unit, _)| bytes >= *unit)
        .unwrap_or((1, ""));
    if unit == 1 { format_bytes(bytes) } else { format!("{:.1} {name}", bytes as f64 / unit as f64) }
}
