//! Rounds: in each, every workload runs on every allocator, one after the other.

use std::io::Read;
use std::process::Stdio;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use hakmem_benches::Report;
use hakmem_benches::workloads::Workload;
use hakmem_harness::order::order;
use hakmem_harness::progress::Progress;

use crate::args::Options;
use crate::build::{Kind, Runner};
use crate::machine::Machine;
use crate::results::{Arm, Measured, Results};

/// A run that takes longer has failed.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// All rounds.
pub(crate) fn measure(options: &Options, runners: &[Runner], machine: Machine) -> Result<Results, String> {
    let workloads = &options.workloads;
    let mut results = Results {
        machine,
        rounds: options.rounds,
        quick: options.quick,
        allocators: runners.iter().map(|runner| (runner.allocator.name.to_owned(), runner.proof.clone())).collect(),
        workloads: workloads.iter().map(|workload| Measured::new(workload, runners.len())).collect(),
        instructions: Vec::new(),
    };
    let mut progress = Progress::new(options.rounds as usize * workloads.len() * runners.len());
    for round in 0..options.rounds as usize {
        for (number, (workload, measured)) in workloads.iter().zip(&mut results.workloads).enumerate() {
            for index in order(runners.len(), 2 * round + number, round) {
                let runner = &runners[index];
                let step = format!("round {} of {}, {}", round + 1, options.rounds, workload.name);
                progress.turn(&step, runner.allocator.name);
                let arm = &mut measured.arms[index];
                match run(runner, workload, options.quick, false) {
                    Ok(report) => arm.rounds.push(report),
                    Err(message) => {
                        progress.say(format_args!("{} on {}: {message}", workload.name, runner.allocator.name));
                        arm.failures.push(message);
                    }
                }
            }
            // Without an allocator any runner will do.
            if let Some(runner) = runners.first().filter(|_| workload.has_floor()) {
                measured.floor.push(run(runner, workload, options.quick, true)?.time());
            }
        }
    }
    progress.clear();
    compare_checksums(&mut results);
    Ok(results)
}

/// One run in a process of its own.
fn run(runner: &Runner, workload: &Workload, quick: bool, floor: bool) -> Result<Report, String> {
    let mut command = runner.command(Kind::of(workload))?;
    command.arg(workload.name).args(quick.then_some("--quick")).args(floor.then_some("--floor"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let id = child.id().cast_signed();
    let (done, waiting) = mpsc::channel::<()>();
    let guard = thread::spawn(move || {
        let late = waiting.recv_timeout(TIME_LIMIT) == Err(RecvTimeoutError::Timeout);
        if late {
            // SAFETY: no memory is involved. The process is this one's child and is waited for only after this thread
            // has ended, so the number is still its own.
            unsafe { libc::kill(id, libc::SIGKILL) };
        }
        late
    });
    let (mut output, mut errors) = (String::new(), String::new());
    // A runner says little: neither pipe fills up while the other is read.
    let read = (
        child.stdout.take().map(|mut pipe| pipe.read_to_string(&mut output)),
        child.stderr.take().map(|mut pipe| pipe.read_to_string(&mut errors)),
    );
    drop(done);
    let late = guard.join().unwrap_or(false);
    let status = child.wait().map_err(|error| error.to_string())?;
    if late {
        return Err(format!("not done after {} s", TIME_LIMIT.as_secs()));
    }
    if let (Some(Err(error)), _) | (_, Some(Err(error))) = read {
        return Err(error.to_string());
    }
    if !status.success() {
        return Err(format!("{status}: {}", errors.trim()));
    }
    let report: Report = serde_json::from_str(&output).map_err(|error| format!("{error} in {output:?}"))?;
    if report.workload == workload.name { Ok(report) } else { Err(format!("ran {:?} instead", report.workload)) }
}

/// A workload that computes something must compute the same on every allocator.
fn compare_checksums(results: &mut Results) {
    for measured in &mut results.workloads {
        let sums = |arm: &Arm| arm.rounds.iter().filter_map(|report| report.outcome.checksum).collect::<Vec<_>>();
        let Some(&expected) = measured.arms.iter().find_map(|arm| sums(arm).first().copied()).as_ref() else {
            continue;
        };
        for arm in &mut measured.arms {
            if let Some(other) = sums(arm).iter().find(|&&sum| sum != expected) {
                arm.failures.push(format!("checksum {other:#x}, not {expected:#x}"));
            }
        }
    }
}
