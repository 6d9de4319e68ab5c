//! Works on an allocator for as long as you like: blocks of all sizes and lifetimes, threads that come and go and free each
//! other's blocks, forks, and a system that refuses calls and memory. Each block has a pattern, which is checked.
//!
//! ```sh
//! cargo run --release --example soak -- --seconds 600 --spec tests/stacks/1.toml
//! ```
//!
//! A spec is compiled in, so `--spec` chooses one of those in `specs.rs`. The program's own memory is the C library's.

mod args;
mod block;
mod run;
mod specs;
mod threads;
mod work;

#[path = "../../tests/soak/faults.rs"]
mod faults;
#[path = "../../tests/common/kernel.rs"]
mod kernel;
#[path = "../../tests/common/random.rs"]
mod random;
#[path = "../../tests/common/resident.rs"]
mod resident;

use args::{Command, HELP, Options, parse};
use specs::{SPECS, Spec};
use std::process::{self, ExitCode};

fn main() -> ExitCode {
    let outcome = match parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => {
            println!("{HELP}Specs:");
            SPECS.iter().for_each(|spec| println!("  {:16} {}", spec.name, spec.file));
            Ok(())
        }
        Ok(Command::Run(options)) => match options.spec {
            Some(number) => one(&SPECS[number], &options),
            None => all(&options),
        },
        Err(message) => {
            eprintln!("soak: {message}\nsoak: see --help");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("soak: {message}");
            ExitCode::FAILURE
        }
    }
}

fn one(spec: &Spec, options: &Options) -> Result<(), String> {
    println!("{} ({}), seed {}", spec.name, spec.file, options.seed);
    (spec.run)(options).map_err(|error| format!("{}: {error}", spec.name))
}

/// Each spec in a process of its own, of which resident memory is measured.
fn all(options: &Options) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| format!("this program is not to be found: {error}"))?;
    for spec in SPECS {
        let numbers = [("--seconds", options.seconds), ("--threads", options.threads), ("--seed", options.seed)];
        let numbers = numbers.map(|(option, number)| [option.to_owned(), number.to_string()]);
        let status = process::Command::new(&program).args(["--spec", spec.name]).args(numbers.as_flattened()).status();
        let status = status.map_err(|error| format!("{}: it does not start: {error}", spec.name))?;
        if !status.success() {
            return Err(format!("{}: it ended with {status}", spec.name));
        }
    }
    Ok(())
}
