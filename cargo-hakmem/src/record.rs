//! `cargo hakmem record`: builds the program with the recorder, runs it, and merges what its processes wrote.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use hakmem_spec::format_bytes;

use crate::failure::{Outcome, fail, on_file};
use crate::profile::Profile as Recording;
use crate::project::{Profile, Project, Selection};

/// Its command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where the profile goes
    #[arg(short, long, value_name = "PATH", default_value = "hakmem.profile")]
    output: PathBuf,
    #[command(flatten)]
    profile: Profile,
    #[command(flatten)]
    selection: Selection,
    /// What the program is given
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

/// Records a run. Fails after a program that fails, with its profile written all the same.
pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let project = Project::find(&arguments.selection)?;
    // A spec with errors is told here, once, and not by a failed build.
    project.spec()?;
    let program = project.build(&arguments.profile, "record")?;
    let folder = parts_folder(&project)?;
    // Ctrl-C is for the program; its profile is still to be merged.
    ctrlc::set_handler(|| {})?;
    let status = Command::new(&program).args(&arguments.arguments).env("HAKMEM_PROFILE", folder.join("part")).status();
    let status = on_file("run", &program, status)?;
    let parts = parts(&folder)?;
    if parts.is_empty() {
        return fail(format!(
            "{} wrote no profile ({status}): it must end by itself, by an abort or by a signal that it can catch",
            program.display()
        ));
    }
    let recording = Recording::read_all(&parts)?;
    recording.write(&arguments.output)?;
    on_file("remove", &folder, std::fs::remove_dir_all(&folder))?;
    summarise(&recording, &arguments.output);
    if status.success() { Ok(()) } else { fail(format!("the profile is written, but the program ended with {status}")) }
}

/// A new folder for what the processes write.
fn parts_folder(project: &Project) -> Outcome<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    let folder = project.output().join(format!("run-{}-{now}", std::process::id()));
    on_file("make the folder", &folder, std::fs::create_dir_all(&folder))?;
    Ok(folder)
}

fn parts(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut parts = Vec::new();
    for entry in on_file("read the folder", folder, std::fs::read_dir(folder))? {
        parts.push(entry?.path());
    }
    parts.sort();
    Ok(parts)
}

fn summarise(recording: &Recording, path: &Path) {
    println!(
        "{}: {} allocations of {} sizes by {} threads; at most {} alive",
        path.display(),
        recording.allocations(),
        recording.requests.len(),
        recording.threads.iter().map(|thread| thread.threads).sum::<u64>(),
        rounded(recording.peak),
    );
}

/// Bytes in a unit that a person reads.
pub(crate) fn rounded(bytes: u64) -> String {
    let (unit, name) = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
        .into_iter()
        .find(|(unit, _)| bytes >= *unit)
        .unwrap_or((1, ""));
    if unit == 1 { format_bytes(bytes) } else { format!("{:.1} {name}", bytes as f64 / unit as f64) }
}
