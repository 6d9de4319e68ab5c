//! Runs one workload on the allocator that it was built with, and prints a [`Report`] as a line of JSON.
//!
//! `runner --proof` tells what it runs on; `--floor` does the same work without an allocator; `runner --count` is to be
//! watched by callgrind. `standings` builds and starts it.

mod force;

use std::env;
use std::process::ExitCode;

use hakmem_benches::Report;
use hakmem_benches::operations::OPERATIONS;
use hakmem_benches::workloads::{self, Scale};
use hakmem_harness::process;

const USAGE: &str = "usage: runner WORKLOAD [--quick] [--floor] | runner --proof | runner --count OPERATION TIMES";

fn main() -> ExitCode {
    match run() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("runner: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String, String> {
    let proof = force::proof()?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (name, scale, without) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--proof"] => return Ok(proof),
        ["--count", name, times] => {
            let operation = OPERATIONS.iter().find(|operation| operation.name == name);
            let operation = operation.ok_or_else(|| format!("unknown operation {name:?}"))?;
            (operation.run)(times.parse().map_err(|error| format!("{times:?}: {error}"))?);
            return Ok(proof);
        }
        [name] => (name, Scale::Full, false),
        [name, "--quick"] => (name, Scale::Quick, false),
        [name, "--floor"] => (name, Scale::Full, true),
        [name, "--quick", "--floor"] => (name, Scale::Quick, true),
        _ => return Err(USAGE.to_owned()),
    };
    let all = workloads::all();
    let workload = all.iter().find(|workload| workload.name == name);
    let workload = *workload.ok_or_else(|| format!("unknown workload {name:?}"))?;
    drop(all);
    let outcome = if without {
        workload.run_floor(scale).ok_or("there is no variant of it without an allocator")?
    } else {
        workload.run(scale).ok_or("built without the feature `programs`")?
    };
    let (peak_resident, peak_anonymous) = process::peaks();
    let usage = process::usage();
    let report = Report {
        proof,
        workload: workload.name.to_owned(),
        outcome,
        peak_resident,
        peak_anonymous,
        final_anonymous: process::anonymous().unwrap_or(0),
        minor_faults: usage.minor_faults,
        major_faults: usage.major_faults,
        processor: (usage.user, usage.system),
    };
    serde_json::to_string(&report).map_err(|error| error.to_string())
}
