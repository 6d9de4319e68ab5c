//! Real programs under `examples/preload`, doing real work, with what they write compared byte for byte with the same under
//! the C library's allocator. `cargo test --release --test malloc -- --ignored --nocapture`; run as root, it installs what is
//! missing of them with apt. What most machines have is in the module `preload`, an ordinary test.

use crate::rerun::text;
use crate::{library, preloading};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

/// The Debian packages that the programs are in.
const PACKAGES: &[&str] =
    &["python3", "perl", "gawk", "sqlite3", "lua5.4", "git", "redis-server", "redis-tools", "gcc", "g++"];

/// A piece of work: a shell script that runs in a folder of its own, and whether its standard output is compared.
struct Work {
    name: &'static str,
    /// A program without which it cannot be done.
    needs: &'static str,
    script: &'static str,
}

/// `$TOP` is this repository, `$PORT` a port of loopback. What varies from run to run is filtered out by the scripts.
const WORKS: &[Work] = &[
    Work { name: "python's own tests", needs: "python3", script: include_str!("../programs/python.sh") },
    Work { name: "python, many small objects", needs: "python3", script: include_str!("../programs/words.sh") },
    Work { name: "perl", needs: "perl", script: include_str!("../programs/perl.sh") },
    Work { name: "gawk", needs: "gawk", script: include_str!("../programs/gawk.sh") },
    Work { name: "sqlite3", needs: "sqlite3", script: include_str!("../programs/sqlite3.sh") },
    Work { name: "lua", needs: "lua5.4", script: include_str!("../programs/lua.sh") },
    Work { name: "git on this repository", needs: "git", script: include_str!("../programs/git.sh") },
    Work { name: "redis and its benchmark", needs: "redis-server", script: include_str!("../programs/redis.sh") },
    Work { name: "gcc and g++", needs: "g++", script: include_str!("../programs/gcc.sh") },
    Work { name: "rustc and cargo", needs: "cargo", script: include_str!("../programs/rustc.sh") },
    Work { name: "C++ with sized and aligned delete", needs: "g++", script: include_str!("../programs/delete.sh") },
];

fn is_installed(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// Runs the script, its programs under the library if there is one.
fn run(work: &Work, library: Option<&PathBuf>) -> (Output, f64) {
    let variant = if library.is_some() { "hakmem" } else { "system" };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs").join(variant).join(work.needs);
    // What an earlier run left.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    let mut command = Command::new("sh");
    command
        .args(["-euc", work.script])
        .current_dir(&folder)
        .env("TOP", env!("CARGO_MANIFEST_DIR"))
        .env("PORT", if library.is_some() { "17391" } else { "17390" })
        .env("PYTHONMALLOC", "malloc")
        .env("LC_ALL", "C")
        .env_remove("RUSTFLAGS");
    if let Some(library) = library {
        command.envs(preloading(library));
    }
    let start = Instant::now();
    let output = command.output().expect("sh starts");
    (output, start.elapsed().as_secs_f64())
}

#[test]
#[ignore = "installs programs and runs them for some minutes"]
fn real_programs_write_the_same() {
    if WORKS.iter().any(|work| !is_installed(work.needs)) {
        // Whatever cannot be installed is reported below.
        let _ = Command::new("apt-get").args(["install", "-y", "-q"]).args(PACKAGES).status();
    }
    let library = library();
    let mut failures = Vec::new();
    for work in WORKS {
        if !is_installed(work.needs) {
            failures.push(format!("{}: {} is not installed", work.name, work.needs));
            continue;
        }
        let (before, time_before) = run(work, None);
        let (after, time_after) = run(work, Some(&library));
        assert!(before.status.success(), "{} fails by itself: {}", work.name, text(&before.stderr));
        assert!(!before.stdout.is_empty(), "{} shows nothing", work.name);
        let same = after.status == before.status && after.stdout == before.stdout;
        let ours = text(&after.stderr).lines().find(|line| line.starts_with("hakmem: ")).map(str::to_owned);
        println!(
            "{:<36} {:>8} bytes of output, {time_before:>6.1} s with the system's, {time_after:>6.1} s: {}",
            work.name,
            before.stdout.len(),
            if same { "the same" } else { "NOT THE SAME" }
        );
        if !same || ours.is_some() {
            failures.push(format!("{}: {} {ours:?}\n{}", work.name, after.status, text(&after.stderr)));
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs");
            fs::write(folder.join("expected"), &before.stdout).expect("a file");
            fs::write(folder.join("found"), &after.stdout).expect("a file");
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
