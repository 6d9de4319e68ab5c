//! Builds a runner for each allocator, and has it prove that it runs on that.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::allocators::Allocator;
use crate::args::Options;
use crate::progress;

/// A program that runs workloads on one allocator.
#[derive(Debug)]
pub(crate) struct Runner {
    /// Which.
    pub(crate) allocator: &'static Allocator,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What it says about itself.
    pub(crate) proof: String,
}

impl Runner {
    /// A command that is the same wherever it is started: no variable of the user's sets an allocator's options.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        quiet_environment(&mut command);
        command
    }
}

/// Removes what would change an allocator's behaviour.
pub(crate) fn quiet_environment(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let options = ["MALLOC_", "MIMALLOC_", "_RJEM_", "GLIBC_TUNABLES", "SNMALLOC_", "RPMALLOC_", "LD_PRELOAD"];
        if options.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(&*name);
        }
    }
}

/// Where the runners go, and the results: `standings` beside `release` in the target directory.
pub(crate) fn folder() -> Result<PathBuf, String> {
    let program = env::current_exe().map_err(|error| format!("where is this program? {error}"))?;
    let target = program.parent().and_then(Path::parent).ok_or("this program is in no target directory")?;
    Ok(target.join("standings"))
}

/// The runners of the chosen allocators.
pub(crate) fn runners(options: &Options, folder: &Path) -> Result<Vec<Runner>, String> {
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let mut runners = Vec::new();
    for (index, &allocator) in options.allocators.iter().enumerate() {
        let what = format_args!("building runners, {} of {}: {}", index + 1, options.allocators.len(), allocator.name);
        progress::note(what);
        let path = folder.join(allocator.name);
        build(allocator, folder, &path).map_err(|error| format!("the runner on {}: {error}", allocator.name))?;
        let mut runner = Runner { allocator, path, proof: String::new() };
        runner.proof = proof(&runner).map_err(|error| format!("the runner on {}: {error}", allocator.name))?;
        runners.push(runner);
    }
    Ok(runners)
}

fn build(allocator: &Allocator, folder: &Path, path: &Path) -> Result<(), String> {
    // The target directory of this program, which is not always the one that cargo would choose.
    let target = folder.parent().unwrap_or(folder);
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["build", "--release", "--quiet", "--package", "hakmem-benches", "--bin", "runner"])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["--features", "runner"]);
    if cfg!(feature = "programs") {
        command.args(["--features", "programs"]);
    }
    if let Some(feature) = allocator.feature {
        command.args(["--features", feature]);
    }
    // snmalloc's build without cmake leaves its assertions in; the build with cmake, which is the usual one, does not.
    if allocator.name == "snmalloc" {
        command.env("CXXFLAGS", format!("{} -DNDEBUG", env::var("CXXFLAGS").unwrap_or_default()));
    }
    let status = command.status().map_err(|error| format!("cannot start cargo: {error}"))?;
    if !status.success() {
        return Err("does not build".to_owned());
    }
    // Cargo's copy may be a link to what the next build overwrites.
    let copied = fs::copy(target.join("release").join("runner"), path);
    copied.map(drop).map_err(|error| format!("cannot copy to {}: {error}", path.display()))
}

fn proof(runner: &Runner) -> Result<String, String> {
    let output = runner.command().arg("--proof").output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("no proof: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
