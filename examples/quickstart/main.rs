//! A multi-threaded inverted index over a folder of text, running on an allocator generated for this program.
//!
//! ```text
//! cargo run --release --example quickstart -- [FOLDER]
//! ```
//!
//! One thread walks FOLDER and reads its files, several workers split the texts into words and note which file holds
//! which word, and the main thread merges their results into one sorted index. The code uses ordinary `String`, `Vec`,
//! `HashMap`, `BTreeMap` and `Arc`, and nothing in it depends on the allocator. This is typical work for an allocator:
//!
//! * a short-lived `String` for every word read, millions of them;
//! * long-lived words, and vectors of postings that keep growing;
//! * memory allocated in one thread and freed in another: each text travels from the reader to a worker, each word
//!   from a worker to the main thread.
//!
//! The data passes through `args`, `walk`, `index` and `report`; `progress` shows how far it has come.

mod args;
mod index;
mod progress;
mod report;
mod walk;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, thread};

use args::{Command, Options};
use index::Index;
use progress::Progress;
use report::Usage;
use walk::Reader;

hakmem::allocator! {
    /// Serves every allocation of this program.
    pub struct Heap;
}

// `RUSTFLAGS="--cfg system_allocator"` runs the same work on the system allocator, for comparison.
#[cfg(not(system_allocator))]
#[global_allocator]
static GLOBAL: Heap = Heap;

/// Exit code for an invalid command line.
const BAD_ARGUMENTS: u8 = 2;
/// Exit code for a failure while indexing.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let outcome = match args::parse(env::args_os().skip(1)) {
        Ok(Command::Run(options)) => run(&options),
        Ok(Command::Help) => io::stdout().write_all(args::HELP.as_bytes()),
        Err(message) => return fail(BAD_ARGUMENTS, &format!("{message} (see --help)")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of a pipe (`quickstart | head`) has closed it: not a failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &error.to_string()),
    }
}

/// Prints the reason for a failure on one line.
fn fail(code: u8, message: &str) -> ExitCode {
    // Not `eprintln!`, which panics when stderr is closed.
    let _ = writeln!(io::stderr(), "quickstart: {message}");
    ExitCode::from(code)
}

/// Indexes the folder and reports on the index, on the time and memory it took, and on the allocator.
fn run(options: &Options) -> io::Result<()> {
    let mut reader = open_reader(options)?;
    let threads = options.threads.unwrap_or_else(default_threads);
    let mut out = BufWriter::new(io::stdout().lock());

    let (index, wall_time) = build_index(&mut reader, threads);
    report::allocator(&mut out)?;
    report::input(&mut out, &reader, threads)?;
    report::index(&mut out, &index)?;

    let (peak, with_index) = (report::peak_rss(), report::rss());
    let drop_time = timed(|| drop(index)).1;
    let usage = Usage { bytes: reader.bytes(), wall_time, drop_time, peak, with_index, after_drop: report::rss() };
    report::usage(&mut out, &usage)?;
    report::heap(&mut out)?;
    out.flush()
}

/// Reads, splits and merges; the time covers all three.
fn build_index(reader: &mut Reader, threads: usize) -> (Index, Duration) {
    progress::announce(reader.root(), threads);
    let progress = Progress::new();
    timed(|| {
        progress.shown_during(|| {
            let shards = index::scan(reader, threads, &progress);
            progress.start_merging();
            index::merge(shards)
        })
    })
}

/// Runs `work` and measures its wall time.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// One worker for each processor, but at least two, so that memory always passes between threads.
fn default_threads() -> usize {
    thread::available_parallelism().map_or(2, |n| n.get().clamp(2, args::MAX_THREADS))
}

/// Opens the given folder, or the first of the default folders that contains any text.
fn open_reader(options: &Options) -> io::Result<Reader> {
    if let Some(folder) = &options.folder {
        return open_folder(folder, options.limit);
    }
    if let Some(sources) = cargo_sources()
        && let Ok(mut probe) = Reader::open(&sources, u64::MAX)
        && probe.next().is_some()
    {
        return open_folder(&sources, options.limit);
    }
    open_folder(Path::new(env!("CARGO_MANIFEST_DIR")), options.limit)
}

/// Opens `folder`, naming it if that fails.
fn open_folder(folder: &Path, limit: u64) -> io::Result<Reader> {
    Reader::open(folder, limit)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot read folder {}: {error}", folder.display())))
}

/// The sources of every crate that cargo has unpacked on this machine: real text, which nearly every Rust user has.
fn cargo_sources() -> Option<PathBuf> {
    let cargo_home = match env::var_os("CARGO_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => env::home_dir()?.join(".cargo"),
    };
    Some(cargo_home.join("registry").join("src"))
}
