//! Programs that tests build. Nothing is downloaded: projects begin with this workspace's `Cargo.lock`, whose packages are
//! there when a test is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Cargo in `folder`, building into `target`, as in an environment that says nothing about how to build.
pub(crate) fn cargo(command: &str, folder: &Path, target: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([command, "--quiet", "--offline", "--color", "never", "--target-dir"]).arg(target).current_dir(folder);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PROFILE_") || name.starts_with("CARGO_BUILD_") || name == "CARGO_INCREMENTAL" {
            cargo.env_remove(&*name);
        }
    }
    // Empty, which a configuration file does not change.
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", "");
    cargo
}

/// Builds an example with `profile` and returns the folder that it is in. Those who want one share a target directory, and with it
/// what the examples depend on.
pub(crate) fn build_example(example: &str, profile: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples");
    let mut build = cargo("build", Path::new(env!("CARGO_MANIFEST_DIR")), &target);
    let status = build.args(["--example", example, "--profile", profile]).status().expect("cargo runs");
    assert!(status.success(), "examples/{example} does not build with --profile {profile}");
    target.join(profile).join("examples")
}

/// A project in the folder `name` of this workspace's target directory, which depends on hakmem under the name `dependency`;
/// `manifest` is what its `Cargo.toml` says besides. What is the same is left alone, so that cargo need not build it again.
pub(crate) fn project(name: &str, edition: &str, dependency: &str, manifest: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let package = name.rsplit('/').next().unwrap_or(name);
    // The empty [workspace] keeps cargo from taking the package for a member of the one around the target directory.
    let manifest = format!(
        "[package]\nname = {package:?}\nversion = \"0.0.0\"\nedition = {edition:?}\n\n[workspace]\n\n\
         [dependencies]\n{dependency} = {{ package = \"hakmem\", path = {workspace:?} }}\n{manifest}"
    );
    write(&folder, "Cargo.toml", &manifest);
    write(&folder, "Cargo.lock", &fs::read_to_string(workspace.join("Cargo.lock")).expect("the lock file"));
    folder
}

/// Writes a file of a project, unless that is what it says already.
pub(crate) fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
    if fs::read_to_string(&path).ok().as_deref() != Some(text) {
        fs::write(path, text).expect("the file can be written");
    }
}
