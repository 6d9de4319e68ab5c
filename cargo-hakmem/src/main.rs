//! `cargo hakmem`: fits a hakmem allocator to the program that invokes the macro.
//!
//! ```text
//! init ──▶ classes.toml ──▶ record ──▶ profile ──▶ tune ──▶ classes.toml ──▶ asm, classes, report
//! ```
//!
//! A module for each subcommand; `project` finds the package, its macro call and its spec, and builds it; `profile`
//! reads what a recorded run wrote (docs/PROFILE.md); `fit` chooses classes. The spec itself is read by `hakmem-spec`
//! alone, as it is by the macro.

#![forbid(unsafe_code)]

mod asm;
mod classes;
mod failure;
mod fit;
mod invocation;
mod profile;
mod project;
mod record;
mod tune;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Cargo runs `cargo-hakmem hakmem …` for `cargo hakmem …`.
#[derive(Debug, Parser)]
#[command(name = "cargo", bin_name = "cargo", disable_help_subcommand = true)]
enum Cargo {
    /// Fits a hakmem allocator to its program.
    #[command(version, arg_required_else_help = true)]
    Hakmem {
        #[command(subcommand)]
        command: Command,
    },
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the hit path of each class in the built program, and holds it to the spec's budgets.
    Asm(asm::Arguments),
    /// Prints the classes of a spec, each with its waste.
    Classes(classes::Arguments),
    /// Runs the program with a recorder, and writes a profile of what it allocates.
    Record(record::Arguments),
    /// Rewrites the spec with the classes that waste least for a profile.
    Tune(tune::Arguments),
}

fn main() -> ExitCode {
    let Cargo::Hakmem { command } = Cargo::parse();
    let outcome = match command {
        Command::Asm(arguments) => asm::run(&arguments),
        Command::Classes(arguments) => classes::run(&arguments),
        Command::Record(arguments) => record::run(&arguments),
        Command::Tune(arguments) => tune::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
