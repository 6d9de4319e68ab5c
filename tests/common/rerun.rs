//! Tests that need a process of their own: they run their binary again, for themselves alone.

use std::ffi::OsStr;
use std::panic::Location;
use std::path::Path;
use std::process::{Command, Output};

const CHILD: &str = "HAKMEM_TEST_CHILD";

/// Whether this process is one that [`rerun`] started.
pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs `test`, a test of the calling file, again, in a process of its own in which [`is_child`] is true.
#[track_caller]
pub(crate) fn rerun(test: &str) -> Output {
    rerun_with(test, &[])
}

/// The same with more variables in its environment.
#[track_caller]
pub(crate) fn rerun_with(test: &str, variables: &[(&str, &OsStr)]) -> Output {
    Command::new(std::env::current_exe().expect("the test is a file"))
        .args(["--exact", &full_name(test), "--include-ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .envs(variables.iter().copied())
        .output()
        .expect("the test starts again")
}

/// The name by which the harness knows a test of the calling file: `tests/allocator/large.rs` is the module `large` of its
/// binary, `tests/soak.rs` is a binary itself.
#[track_caller]
fn full_name(test: &str) -> String {
    let file = Path::new(Location::caller().file());
    match (file.parent().and_then(Path::file_name), file.file_stem()) {
        (Some(folder), Some(module)) if folder != "tests" => format!("{}::{test}", module.display()),
        _ => test.to_owned(),
    }
}

/// Runs `body` in a process of its own, in which no other test changes what is measured, nor the kernel's setting of huge
/// pages what is resident. `test` is the name of the calling test.
#[track_caller]
pub(crate) fn isolated(test: &str, body: impl FnOnce()) -> String {
    if is_child() {
        // SAFETY: the call takes no pointers, and concerns this process alone.
        unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
        body();
        return String::new();
    }
    let output = rerun(test);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "{}\n{stdout}\n{stderr}", output.status);
    stdout
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
