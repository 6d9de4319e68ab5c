//! What the user sees, on stderr, while the stacks are measured.
//!
//! It is written between turns, by the thread that measures: a thread of its own would take time from the workloads.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Instant;

/// Carriage return, then the control sequence that erases the line.
const ERASE_LINE: &str = "\r\x1b[2K";

/// How far the measuring has come.
#[derive(Debug)]
pub(crate) struct Progress {
    terminal: bool,
    started: Instant,
    turns: u32,
    done: u32,
    workload: &'static str,
}

impl Progress {
    /// Of `turns` in all.
    pub(crate) fn new(turns: u32) -> Self {
        Self { terminal: io::stderr().is_terminal(), started: Instant::now(), turns, done: 0, workload: "" }
    }

    /// The next turn begins. On a terminal one line is kept up to date; anything else, such as a log, gets a line for
    /// each workload.
    pub(crate) fn turn(&mut self, workload: &'static str, step: impl Display, stack: &str) {
        if self.terminal {
            print(format_args!("{ERASE_LINE}{}: {workload}, {step}, {stack}", self.so_far()));
        } else if self.workload != workload {
            print(format_args!("{}: {workload}\n", self.so_far()));
        }
        self.workload = workload;
        self.done += 1;
    }

    /// Removes the line, so that something else can be printed.
    pub(crate) fn clear(&self) {
        if self.terminal {
            print(ERASE_LINE);
        }
    }

    fn so_far(&self) -> String {
        let percent = u64::from(self.done) * 100 / u64::from(self.turns.max(1));
        format!("{percent:>3} %, {:.0} s", self.started.elapsed().as_secs_f64())
    }
}

/// Writes to stderr. Progress nobody can see any more is no reason to stop, hence no error.
fn print(text: impl Display) {
    let _ = write!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_counted() {
        let mut progress = Progress::new(4);
        assert!(progress.so_far().starts_with("  0 %, "), "{}", progress.so_far());
        for _ in 0..3 {
            progress.turn("a test", "round 1", "a stack");
        }
        assert!(progress.so_far().starts_with(" 75 %, "), "{}", progress.so_far());
    }
}
