//! Real programs under `examples/preload` and under the allocators that the distribution packages: time and peak memory.
//!
//! `cargo run --release -p hakmem-benches --bin preloaded -- [--rounds N] [--only NAME]… [--output FILE]`. The programs
//! are those of `tests/programs`, whose test installs them; the libraries are Debian's `libjemalloc2`, `libmimalloc2.0` and
//! `libtcmalloc-minimal4`. Each round runs every library once on a program, one after the other, hakmem's a second time as
//! a measure of the noise. What each wrote is compared with what it wrote under glibc.

use serde::Serialize;
use std::error::Error;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, fs, io};

/// A program and the script that drives it.
const PROGRAMS: [(&str, &str); 7] = [
    ("python3", include_str!("../../preloaded/python.sh")),
    ("perl", include_str!("../../../tests/programs/perl.sh")),
    ("gawk", include_str!("../../../tests/programs/gawk.sh")),
    ("sqlite3", include_str!("../../../tests/programs/sqlite3.sh")),
    ("lua5.4", include_str!("../../../tests/programs/lua.sh")),
    ("git", include_str!("../../../tests/programs/git.sh")),
    ("g++", include_str!("../../../tests/programs/gcc.sh")),
];

/// A library by the name it is shown under; glibc is none.
struct Library {
    name: &'static str,
    path: Option<PathBuf>,
}

#[derive(Serialize)]
struct Run {
    seconds: f64,
    processor: f64,
    /// Of the largest process of the script's, in KiB.
    peak_resident: i64,
}

#[derive(Serialize)]
struct Row {
    program: &'static str,
    library: &'static str,
    runs: Vec<Run>,
}

struct Arguments {
    rounds: usize,
    only: Vec<String>,
    output: PathBuf,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut found = Arguments { rounds: 5, only: Vec::new(), output: "preloaded.json".into() };
    let mut given = env::args().skip(1);
    while let Some(option) = given.next() {
        let value = given.next().ok_or_else(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--rounds" => found.rounds = value.parse::<usize>()?.max(1),
            "--only" if PROGRAMS.iter().any(|(name, _)| *name == value) => found.only.push(value),
            "--only" => return Err(format!("there is no program {value}").into()),
            "--output" => found.output = value.into(),
            _ => return Err(format!("{option} is not --rounds, --only or --output").into()),
        }
    }
    Ok(found)
}

/// This repository.
fn top() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn libraries() -> Result<Vec<Library>, Box<dyn Error>> {
    let build = ["build", "--release", "--quiet", "--example", "preload"];
    if !Command::new(env!("CARGO")).args(build).current_dir(top()).status()?.success() {
        return Err("examples/preload does not build".into());
    }
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| top().join("target"), PathBuf::from);
    let ours = fs::canonicalize(target.join("release/examples/libpreload.so"))?;
    let mut all = vec![
        Library { name: "glibc", path: None },
        Library { name: "hakmem", path: Some(ours.clone()) },
        Library { name: "hakmem again", path: Some(ours) },
    ];
    for (name, file) in
        [("jemalloc", "libjemalloc.so.2"), ("mimalloc", "libmimalloc.so.2"), ("tcmalloc", "libtcmalloc_minimal.so.4")]
    {
        let path = Path::new("/usr/lib/x86_64-linux-gnu").join(file);
        if path.exists() {
            all.push(Library { name, path: Some(path) });
        } else {
            eprintln!("{name} is not installed: {} is not there", path.display());
        }
    }
    Ok(all)
}

/// Runs the script in a folder of its own and returns what it took and what it wrote.
fn run(script: &str, library: &Library) -> Result<(Run, Vec<u8>), Box<dyn Error>> {
    let folder = env::temp_dir().join(format!("hakmem-preloaded-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let written = fs::File::create(folder.join("written"))?;
    let work = folder.join("work");
    fs::create_dir(&work)?;
    let mut command = Command::new("sh");
    command
        .args(["-euc", script])
        .current_dir(&work)
        .env("TOP", fs::canonicalize(top())?)
        .env("PYTHONMALLOC", "malloc")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(written)
        .stderr(Stdio::null());
    if let Some(path) = &library.path {
        command.env("LD_PRELOAD", path);
    }
    let start = Instant::now();
    // Its group ends with it, should this program be interrupted.
    let child = command.process_group(0).spawn()?;
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: both are places for what the call returns; the child is ours, and nobody else waits for it.
    let ended = unsafe { libc::wait4(child.id().cast_signed(), &raw mut status, 0, usage.as_mut_ptr()) };
    let seconds = start.elapsed().as_secs_f64();
    if ended < 0 {
        return Err(io::Error::last_os_error().into());
    }
    // SAFETY: all zero is a value of the struct, and the call has filled it in.
    let usage = unsafe { usage.assume_init() };
    let text = fs::read(folder.join("written"))?;
    fs::remove_dir_all(&folder)?;
    if status != 0 {
        return Err(format!("fails under {}", library.name).into());
    }
    let time = |value: libc::timeval| value.tv_sec as f64 + value.tv_usec as f64 / 1e6;
    let processor = time(usage.ru_utime) + time(usage.ru_stime);
    Ok((Run { seconds, processor, peak_resident: usage.ru_maxrss }, text))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A table of medians, each with its ratio to hakmem's: below 1 it is less.
fn table(title: &str, libraries: &[Library], rows: &[Row], of: impl Fn(&Run) -> f64) {
    print!("\n{title:<22}");
    for library in libraries {
        print!("{:>20}", library.name);
    }
    let mut products = vec![(0.0, 0_u32); libraries.len()];
    for program in rows.chunks(libraries.len()) {
        let medians: Vec<f64> = program.iter().map(|row| median(row.runs.iter().map(&of))).collect();
        print!("\n{:<22}", program[0].program);
        for (median, (sum, count)) in medians.iter().zip(&mut products) {
            let ratio = median / medians[1];
            print!("{median:>13.2} {ratio:>6.2}");
            *sum += ratio.ln();
            *count += 1;
        }
    }
    print!("\n{:<22}", "geometric mean");
    for (sum, count) in products {
        print!("{:>20.3}", (sum / f64::from(count.max(1))).exp());
    }
    println!();
}

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { rounds, only, output } = arguments()?;
    let libraries = libraries()?;
    let mut rows = Vec::new();
    for (program, script) in PROGRAMS {
        if !only.is_empty() && !only.iter().any(|name| name == program) {
            continue;
        }
        let mut of_program: Vec<Row> =
            libraries.iter().map(|library| Row { program, library: library.name, runs: Vec::new() }).collect();
        let mut expected = None;
        for round in 1..=rounds {
            for (library, row) in libraries.iter().zip(&mut of_program) {
                eprint!("\r{program}: round {round} of {rounds}, {:<12}", library.name);
                let (run, text) = run(script, library).map_err(|error| format!("{program}: {error}"))?;
                if *expected.get_or_insert_with(|| text.clone()) != text {
                    return Err(format!("{program} writes something else under {}", library.name).into());
                }
                row.runs.push(run);
            }
        }
        rows.append(&mut of_program);
    }
    eprintln!();
    table("seconds", &libraries, &rows, |run| run.seconds);
    table("processor seconds", &libraries, &rows, |run| run.processor);
    table("peak RSS, MiB", &libraries, &rows, |run| run.peak_resident as f64 / 1024.0);
    fs::write(&output, serde_json::to_string_pretty(&rows)?)?;
    println!("\nwritten to {}", output.display());
    Ok(())
}
