//! C's `malloc` as a library: `examples/preload`, and libraries with other specs, under programs that nobody here wrote and under
//! small ones in C. The harness goes on with the C library's.

#[path = "../common/cargo.rs"]
mod cargo;
#[path = "../common/rerun.rs"]
mod rerun;

mod hardening;
mod libraries;
mod loaded;
mod preload;
mod programs;
mod surroundings;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The library that `examples/preload` is.
fn library() -> PathBuf {
    cargo::build_example("preload", "release").join("libpreload.so")
}

/// Variables with which a program starts under `library`. The loader takes spaces in `LD_PRELOAD` for the ends of names, so the
/// folder, which may have some, is in the other.
fn preloading(library: &Path) -> [(&'static str, OsString); 2] {
    const PATHS: &str = "LD_LIBRARY_PATH";
    let file = library.file_name().map(OsStr::to_owned).unwrap_or_default();
    let mut folders = library.parent().map(|folder| folder.as_os_str().to_owned()).unwrap_or_default();
    if let Some(others) = std::env::var_os(PATHS) {
        folders.push(":");
        folders.push(others);
    }
    [("LD_PRELOAD", file), (PATHS, folders)]
}

/// The C compiler, if there is one.
fn c_compiler() -> Option<OsString> {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let is_there = Command::new(&compiler).arg("--version").output().is_ok();
    is_there.then_some(compiler)
}
