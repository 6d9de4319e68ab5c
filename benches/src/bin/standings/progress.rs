//! What the user sees, on stderr, meanwhile. It is written between runs: a thread of its own would take time from them.

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
    turns: usize,
    done: usize,
    last: String,
}

impl Progress {
    /// Of `turns` in all.
    pub(crate) fn new(turns: usize) -> Self {
        Self { terminal: io::stderr().is_terminal(), started: Instant::now(), turns, done: 0, last: String::new() }
    }

    /// The next turn begins. On a terminal one line is kept up to date; anything else, such as a log, gets a line for
    /// each `step`.
    pub(crate) fn turn(&mut self, step: &str, allocator: &str) {
        if self.terminal {
            print(format_args!("{ERASE_LINE}{}: {step} on {allocator}", self.so_far()));
        } else if self.last != step {
            print(format_args!("{}: {step}\n", self.so_far()));
        }
        self.last = step.to_owned();
        self.done += 1;
    }

    /// Says something that stays.
    pub(crate) fn say(&self, text: impl Display) {
        self.clear();
        print(format_args!("{text}\n"));
    }

    /// Removes the line, so that something else can be printed.
    pub(crate) fn clear(&self) {
        if self.terminal {
            print(ERASE_LINE);
        }
    }

    fn so_far(&self) -> String {
        let elapsed = self.started.elapsed().as_secs_f64();
        let percent = self.done * 100 / self.turns.max(1);
        let left = if self.done == 0 {
            String::new()
        } else {
            format!(", {:.0} s left", elapsed / self.done as f64 * (self.turns - self.done) as f64)
        };
        format!("{percent:>3} %, {elapsed:.0} s{left}")
    }
}

/// A step that is not one of many.
pub(crate) fn note(text: impl Display) {
    print(format_args!("{text}\n"));
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
            progress.turn("round 1", "an allocator");
        }
        assert!(progress.so_far().starts_with(" 75 %, "), "{}", progress.so_far());
    }
}
