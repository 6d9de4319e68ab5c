//! Real programs under `examples/preload` and under the allocators that the distribution packages: time and peak
//! memory.
//!
//! `cargo run --release -p hakmem-benches --bin preloaded -- [--rounds N] [--only NAME]… [--output FILE]`. The programs
//! are those of `tests/programs`, whose test installs them; the libraries are Debian's `libjemalloc2`, `libmimalloc2.0`
//! and `libtcmalloc-minimal4`. Each round runs every library once on a program, one after the other, hakmem's a second
//! time as a measure of the noise. What each wrote is compared with what it wrote under glibc.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;
use std::{env, fs, io};

use clap::Parser;
use clap::builder::PossibleValuesParser;
use hakmem_harness::output;
use hakmem_harness::process;
use hakmem_harness::progress::{Progress, note};
use hakmem_harness::statistics::{geometric_mean, median};
use serde::Serialize;

/// A program and the script that drives it.
const PROGRAMS: [(&str, &str); 7] = [
    ("python3", include_str!("../../../tests/programs/words.sh")),
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

/// What one run of a program took.
#[derive(Serialize)]
struct Cost {
    seconds: f64,
    processor: f64,
    /// Of the largest process of the script's, in KiB.
    peak_resident: u64,
}

#[derive(Serialize)]
struct Row {
    program: &'static str,
    library: &'static str,
    runs: Vec<Cost>,
}

/// Runs real programs under examples/preload and under the allocators that the distribution packages.
#[derive(Parser)]
#[command(name = "preloaded")]
struct Options {
    /// Run each program N times under each library
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// This program, and others so named [default: all]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(PROGRAMS.map(|(name, _)| name)))]
    only: Vec<String>,
    /// Write everything that was measured there [default: target/preloaded.json]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// This repository.
fn top() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn libraries(target: &Path) -> Result<Vec<Library>, String> {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--release", "--quiet", "--example", "preload", "--target-dir"]).arg(target);
    let built = build.current_dir(top()).status().map_err(|error| format!("cannot start cargo: {error}"))?;
    if !built.success() {
        return Err("examples/preload does not build".to_owned());
    }
    let ours = target.join("release/examples/libpreload.so");
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
            note(format_args!("{name} is not installed: there is no {}", path.display()));
        }
    }
    Ok(all)
}

/// Runs the script in a folder of its own. Returns what it took and what it wrote; none where it has failed.
fn run(script: &str, library: &Library) -> io::Result<Option<(Cost, Vec<u8>)>> {
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
    // In a process group of its own: a signal that the script sends to its group does not reach this program.
    let child = command.process_group(0).spawn()?;
    let (success, usage) = process::wait(child)?;
    let seconds = start.elapsed().as_secs_f64();
    let text = fs::read(folder.join("written"))?;
    fs::remove_dir_all(&folder)?;
    let cost = Cost { seconds, processor: usage.user + usage.system, peak_resident: usage.peak_resident / 1024 };
    Ok(success.then_some((cost, text)))
}

/// A table of medians, each with its ratio to hakmem's: below 1 it is less.
fn table(title: &str, libraries: &[Library], rows: &[Row], of: impl Fn(&Cost) -> f64) -> String {
    let mut out = format!("\n{title:<22}");
    for library in libraries {
        out += &format!("{:>20}", library.name);
    }
    let mut ratios = vec![Vec::new(); libraries.len()];
    for program in rows.chunks(libraries.len()) {
        let median = |row: &Row| median(&row.runs.iter().map(&of).collect::<Vec<_>>()).unwrap_or(f64::NAN);
        let medians: Vec<f64> = program.iter().map(median).collect();
        out += &format!("\n{:<22}", program[0].program);
        for (median, ratios) in medians.iter().zip(&mut ratios) {
            let ratio = median / medians[1];
            out += &format!("{median:>13.2} {ratio:>6.2}");
            ratios.push(ratio);
        }
    }
    out += &format!("\n{:<22}", "geometric mean");
    for ratios in ratios {
        out += &format!("{:>20.3}", geometric_mean(&ratios).unwrap_or(f64::NAN));
    }
    out + "\n"
}

fn main() -> ExitCode {
    output::exit_code("preloaded", measure(&Options::parse()))
}

fn measure(Options { rounds, only, output }: &Options) -> Result<(), String> {
    let target = output::target()?;
    let libraries = libraries(&target)?;
    let chosen = PROGRAMS.iter().filter(|(name, _)| only.is_empty() || only.iter().any(|chosen| chosen == name));
    let chosen: Vec<_> = chosen.collect();
    let mut progress = Progress::new(chosen.len() * *rounds as usize * libraries.len());
    let mut rows = Vec::new();
    for (program, script) in chosen {
        let first = rows.len();
        rows.extend(libraries.iter().map(|library| Row { program, library: library.name, runs: Vec::new() }));
        let mut expected = None;
        for round in 1..=*rounds {
            for (library, row) in libraries.iter().zip(&mut rows[first..]) {
                progress.turn(program, format_args!("round {round} of {rounds}, {}", library.name));
                let outcome = run(script, library).map_err(|error| format!("{program}: {error}"))?;
                let (cost, text) = outcome.ok_or_else(|| format!("{program} fails under {}", library.name))?;
                if *expected.get_or_insert_with(|| text.clone()) != text {
                    return Err(format!("{program} writes something else under {}", library.name));
                }
                row.runs.push(cost);
            }
        }
    }
    progress.clear();
    output::print(&table("seconds", &libraries, &rows, |cost| cost.seconds))?;
    output::print(&table("processor seconds", &libraries, &rows, |cost| cost.processor))?;
    output::print(&table("peak RSS, MiB", &libraries, &rows, |cost| cost.peak_resident as f64 / 1024.0))?;
    let path = output.clone().unwrap_or_else(|| target.join("preloaded.json"));
    output::save(&path, |file| Ok(serde_json::to_writer_pretty(file, &rows)?))?;
    output::print(&format!("\nwritten to {}\n", path.display()))
}
