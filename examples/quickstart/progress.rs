//! Progress output on stderr while the index is built.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Carriage return, then the control sequence that erases the line.
const ERASE_LINE: &str = "\r\x1b[2K";

/// Announces the run.
pub(crate) fn announce(folder: &Path, threads: usize) {
    print(format_args!("indexing {} with {threads} workers\n", folder.display()));
}

/// The progress so far. The workers count, and a separate thread displays.
#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    files: AtomicU64,
    bytes: AtomicU64,
    merging: AtomicBool,
}

impl Progress {
    /// Starts the clock.
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            merging: AtomicBool::new(false),
        }
    }

    /// Counts a file that has been indexed.
    pub(crate) fn add_file(&self, bytes: usize) {
        self.files.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Marks the start of merging: all files are indexed.
    pub(crate) fn start_merging(&self) {
        self.merging.store(true, Relaxed);
    }

    /// Runs `work`, displaying the progress until it is done.
    pub(crate) fn shown_during<T>(&self, work: impl FnOnce() -> T) -> T {
        let (running, finished) = mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(move || self.show_until(&finished));
            let result = work();
            // Nothing is ever sent. Closing the channel is the signal, which also happens if `work` panics.
            drop(running);
            result
        })
    }

    /// Updates one line on a terminal; prints a line every second to anything else, such as a log.
    fn show_until(&self, finished: &Receiver<()>) {
        let terminal = io::stderr().is_terminal();
        let interval = Duration::from_millis(if terminal { 100 } else { 1000 });
        while finished.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            if terminal {
                print(format_args!("{ERASE_LINE}{}", self.line()));
            } else {
                print(format_args!("{}\n", self.line()));
            }
        }
        if terminal {
            print(ERASE_LINE);
        }
    }

    /// The current state, short enough for a narrow terminal.
    fn line(&self) -> String {
        let megabytes = self.bytes.load(Relaxed) as f64 / 1e6;
        let seconds = self.started.elapsed().as_secs_f64();
        let step = if self.merging.load(Relaxed) { ", merging" } else { "" };
        format!("{} files, {megabytes:.1} MB, {seconds:.1} s{step}", self.files.load(Relaxed))
    }
}

/// Writes to stderr and ignores errors: the work goes on if stderr is closed.
fn print(text: impl Display) {
    let _ = write!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{self, AssertUnwindSafe};

    #[test]
    fn the_line_tells_how_far_the_work_is() {
        let progress = Progress::new();
        progress.add_file(1_500_000);
        progress.add_file(1_000_000);
        assert!(progress.line().starts_with("2 files, 2.5 MB, "), "{}", progress.line());
        assert!(progress.line().ends_with(" s"), "{}", progress.line());
        progress.start_merging();
        assert!(progress.line().ends_with(" s, merging"), "{}", progress.line());
    }

    #[test]
    fn showing_ends_with_the_work() {
        let progress = Progress::new();
        assert_eq!(progress.shown_during(|| 42), 42);
        let panicking = || progress.shown_during(|| panic::resume_unwind(Box::new("no result")));
        assert!(panic::catch_unwind(AssertUnwindSafe(panicking)).is_err());
    }
}
