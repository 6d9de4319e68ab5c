//! The README's main job as a test: the index over this repository's own sources and over the local cargo registry's (as
//! much of it as a test has time for), with the allocator proved, and the same results from one thread and from four.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The example's binary, built if this test was not run with all others.
fn quickstart() -> PathBuf {
    let deps = std::env::current_exe().expect("the test has a path");
    let built = deps.parent().and_then(Path::parent).expect("target/PROFILE/deps").join("examples/quickstart");
    if !built.exists() {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--example", "quickstart"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(status.expect("cargo runs").success(), "the example builds");
    }
    built
}

fn run(arguments: &[&str]) -> Output {
    Command::new(quickstart()).args(arguments).output().expect("the example runs")
}

/// What depends on the folder alone: from the count of files to the time.
fn results(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let from = text.find("files: ").expect("a count of files");
    let to = text.find("wall time: ").expect("a time");
    text[from..to].to_owned()
}

#[test]
fn the_index_is_the_same_with_one_thread_and_with_four() {
    for folder in [Some(env!("CARGO_MANIFEST_DIR").to_owned() + "/hakmem-runtime"), None] {
        let folder: Vec<&str> = folder.iter().map(String::as_str).collect();
        let outputs = ["1", "4"].map(|threads| run(&[&["--limit-mb", "8", "--threads", threads], &*folder].concat()));
        for output in &outputs {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.starts_with("allocator: hakmem (proved: a fresh Box is ours: true)\n"), "{text}");
            assert!(text.contains("distinct words: ") && text.contains("blocks live"), "{text}");
        }
        assert_eq!(results(&outputs[0]), results(&outputs[1]));
    }
}

#[test]
fn mistakes_get_one_line_and_a_code() {
    for (arguments, code) in [(&["--threads", "0"][..], 2), (&["--no-such"], 2), (&["/no/such/folder"], 1)] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1, "{arguments:?}");
    }
}
