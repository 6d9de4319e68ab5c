//! Builds a runner for each allocator, and has it prove that it runs on that.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hakmem_benches::workloads::Workload;
use hakmem_harness::{process, progress};

use crate::allocators::Allocator;
use crate::args::Options;

/// The programs that run workloads on one allocator.
#[derive(Debug)]
pub(crate) struct Runner {
    /// Which.
    pub(crate) allocator: &'static Allocator,
    /// Where they are: a program for each kind that is needed.
    paths: Vec<(Kind, PathBuf)>,
    /// Its proof that it runs on that allocator.
    pub(crate) proof: String,
}

/// A kind of runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Our own workloads and operations, in the profile that hakmem recommends.
    Patterns,
    /// Whole programs, in a profile that sets nothing.
    Programs,
}

impl Kind {
    /// The kind that runs a workload.
    pub(crate) fn of(workload: &Workload) -> Kind {
        if workload.is_program() { Kind::Programs } else { Kind::Patterns }
    }

    fn features(self) -> &'static str {
        match self {
            Kind::Patterns => "runner",
            Kind::Programs => "runner,programs",
        }
    }

    /// The profile's name, which is that of its folder.
    fn profile(self) -> &'static str {
        match self {
            Kind::Patterns => "release",
            Kind::Programs => "plain",
        }
    }
}

impl Runner {
    /// Where the program of a kind is.
    pub(crate) fn path(&self, kind: Kind) -> Result<&Path, String> {
        let found = self.paths.iter().find(|(of, _)| *of == kind);
        found.map(|(_, path)| path.as_path()).ok_or_else(|| format!("no runner of {kind:?} was built"))
    }

    /// A command that runs it. No environment variable of the user's sets an allocator's options there.
    pub(crate) fn command(&self, kind: Kind) -> Result<Command, String> {
        let mut command = Command::new(self.path(kind)?);
        quiet_environment(&mut command);
        Ok(command)
    }
}

/// Removes the variables that would change an allocator's behaviour.
pub(crate) fn quiet_environment(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let options = ["MALLOC_", "MIMALLOC_", "_RJEM_", "GLIBC_TUNABLES", "SNMALLOC_", "RPMALLOC_", "LD_PRELOAD"];
        if options.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(&*name);
        }
    }
}

/// The runners of the chosen allocators.
pub(crate) fn runners(options: &Options, folder: &Path) -> Result<Vec<Runner>, String> {
    let mut kinds = vec![Kind::Patterns, Kind::Programs];
    let counted = options.callgrind.then_some(Kind::Patterns);
    kinds.retain(|kind| options.workloads.iter().map(Kind::of).chain(counted).any(|needed| needed == *kind));
    let mut runners = Vec::new();
    for (index, &allocator) in options.allocators.iter().enumerate() {
        let what = format_args!("building runners, {} of {}: {}", index + 1, options.allocators.len(), allocator.name);
        progress::note(what);
        let runner = runner(allocator, &kinds, folder);
        runners.push(runner.map_err(|error| format!("the runner on {}: {error}", allocator.name))?);
    }
    Ok(runners)
}

fn runner(allocator: &'static Allocator, kinds: &[Kind], folder: &Path) -> Result<Runner, String> {
    let mut runner = Runner { allocator, paths: Vec::new(), proof: String::new() };
    for &kind in kinds {
        let path = folder.join(kind.profile()).join(allocator.name);
        build(allocator, kind, folder, &path)?;
        runner.paths.push((kind, path));
        runner.proof = proof(&runner, kind)?;
    }
    Ok(runner)
}

fn build(allocator: &Allocator, kind: Kind, folder: &Path, path: &Path) -> Result<(), String> {
    // The target directory of this program, which is not always the one that cargo would choose.
    let target = folder.parent().unwrap_or(folder);
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["build", "--quiet", "--package", "hakmem-benches", "--bin", "runner"])
        .args(["--profile", kind.profile(), "--features", kind.features()])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
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
    let copy = || {
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::copy(target.join(kind.profile()).join("runner"), path)?;
        process::drop_from_page_cache(path)
    };
    copy().map_err(|error| format!("cannot copy to {}: {error}", path.display()))
}

fn proof(runner: &Runner, kind: Kind) -> Result<String, String> {
    let output = runner.command(kind)?.arg("--proof").output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("no proof: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
