//! Misuse that has to end the process: by `abort`, with one line.

use crate::rerun::{is_child, rerun, text};
use std::os::unix::process::ExitStatusExt;

/// Runs `body`, which never returns if all is well, in a process of its own. Returns that one's standard output and the line
/// that it ended with; `None` in that process. `test` is the name of the calling test.
#[track_caller]
pub(crate) fn last_line(test: &str, body: impl FnOnce()) -> Option<(String, String)> {
    if is_child() {
        body();
        println!("survived");
        return None;
    }
    let output = rerun(test);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}\n{stdout}\n{stderr}", output.status);
    assert!(!stdout.contains("survived"));
    let lines: Vec<&str> = stderr.lines().collect();
    let [line] = lines[..] else { panic!("one line was expected:\n{stderr}") };
    Some((stdout, line.to_owned()))
}

/// The same, with a line that begins with `message` and a pointer.
#[track_caller]
pub(crate) fn dies(test: &str, body: impl FnOnce(), message: &str) {
    if let Some((_, line)) = last_line(test, body) {
        assert!(line.starts_with(&format!("hakmem: {message} (pointer 0x")), "{line}");
    }
}
