//! Instructions of single operations, counted by callgrind: a table without noise.

use std::process::{Command, Stdio};

use hakmem_benches::operations::OPERATIONS;
use hakmem_harness::progress::Progress;
use serde::{Deserialize, Serialize};

use crate::build::{Kind, Runner, quiet_environment};

/// The lengths of two runs, multiples of a hundred. Their difference is free of what happens once.
const LENGTHS: (u64, u64) = (20_000, 120_000);

/// An operation's instructions.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) name: String,
    pub(crate) about: String,
    /// For one operation, by allocator; none where callgrind or the allocator has failed.
    pub(crate) instructions: Vec<Option<f64>>,
}

/// Counts all operations on all allocators.
pub(crate) fn measure(runners: &[Runner]) -> Result<Vec<Counted>, String> {
    let version = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    version.map_err(|error| format!("--callgrind needs valgrind: {error}"))?;
    let mut progress = Progress::new(OPERATIONS.len() * runners.len());
    let mut counted = Vec::new();
    for operation in &OPERATIONS {
        let mut instructions = Vec::new();
        for runner in runners {
            progress.turn(&format!("counting instructions, {}", operation.name), runner.allocator.name);
            let counts = total(runner, operation.name, LENGTHS.0)
                .and_then(|short| Ok((short, total(runner, operation.name, LENGTHS.1)?)));
            match counts {
                Ok((short, long)) => {
                    let count = long.saturating_sub(short) as f64 / (LENGTHS.1 - LENGTHS.0) as f64;
                    instructions.push(Some(count));
                }
                Err(message) => {
                    progress.say(format_args!("{} on {}: {message}", operation.name, runner.allocator.name));
                    instructions.push(None);
                }
            }
        }
        let (name, about) = (operation.name.to_owned(), operation.about.to_owned());
        counted.push(Counted { name, about, instructions });
    }
    progress.clear();
    Ok(counted)
}

/// The instructions of a whole process.
fn total(runner: &Runner, operation: &str, times: u64) -> Result<u64, String> {
    let mut command = Command::new("valgrind");
    quiet_environment(&mut command);
    let output = command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(runner.path(Kind::Patterns)?)
        .args(["--count", operation, &times.to_string()])
        .output()
        .map_err(|error| error.to_string())?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, errors.lines().last().unwrap_or("")));
    }
    collected(&errors).ok_or_else(|| "callgrind has not printed a count".to_owned())
}

/// The number in callgrind's closing line.
fn collected(errors: &str) -> Option<u64> {
    errors.lines().find_map(|line| line.split("Collected :").nth(1))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_count_is_found() {
        let errors = "==12== Events    : Ir\n==12== Collected : 1234\n==12==\n";
        assert_eq!(super::collected(errors), Some(1234));
        assert_eq!(super::collected(""), None);
    }
}
