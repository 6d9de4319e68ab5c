//! What the user sees on stderr during a measurement. It is written between runs, by the thread that measures: a thread
//! of its own would take time from them.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Instant;

/// Carriage return, then the control sequence that erases the line.
const ERASE_LINE: &str = "\r\x1b[2K";

/// How far the measuring is.
#[derive(Debug)]
pub struct Progress {
    terminal: bool,
    started: Instant,
    turns: usize,
    done: usize,
    step: String,
}

impl Progress {
    /// Of `turns` in all.
    pub fn new(turns: usize) -> Progress {
        Progress { terminal: io::stderr().is_terminal(), started: Instant::now(), turns, done: 0, step: String::new() }
    }

    /// The next turn begins. On a terminal one line is kept up to date; anything else, such as a log, gets a line for
    /// each `step`, without the details.
    pub fn turn(&mut self, step: &str, details: impl Display) {
        if self.terminal {
            print(format_args!("{ERASE_LINE}{}: {step}, {details}", self.so_far()));
        } else if self.step != step {
            print(format_args!("{}: {step}\n", self.so_far()));
        }
        step.clone_into(&mut self.step);
        self.done += 1;
    }

    /// Prints a line that stays.
    pub fn say(&self, text: impl Display) {
        self.clear();
        note(text);
    }

    /// Removes the line, so that something else can be printed.
    pub fn clear(&self) {
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
            format!(", {:.0} s left", elapsed / self.done as f64 * self.turns.saturating_sub(self.done) as f64)
        };
        format!("{percent:>3} %, {elapsed:.0} s{left}")
    }
}

/// A line about a step that is not one of many.
pub fn note(text: impl Display) {
    print(format_args!("{text}\n"));
}

/// Writes to stderr. A closed stderr is no reason to stop, hence no error.
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
        assert!(progress.so_far().ends_with(" s left"), "{}", progress.so_far());
    }
}
