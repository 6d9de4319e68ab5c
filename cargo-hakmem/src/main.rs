//! `cargo hakmem`: fits a hakmem allocator to the program that invokes the macro.
//!
//! ```text
//! init ──▶ classes.toml ──▶ record ──▶ profile ──▶ tune ──▶ classes.toml ──▶ asm, classes, report
//! ```
//!
//! There is a module for each subcommand. `project` finds the package, its macro call and its spec, and builds it;
//! `profile` reads the profile of a recorded run (docs/PROFILE.md); `fit` chooses classes. Specs are read by
//! `hakmem-spec`, as in the macro.

#![forbid(unsafe_code)]

mod asm;
mod classes;
mod failure;
mod files;
mod fit;
mod init;
mod invocation;
mod profile;
mod project;
mod record;
mod report;
mod rustflags;
mod tune;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Cargo runs `cargo-hakmem hakmem …` for `cargo hakmem …`.
#[derive(Debug, Parser)]
#[command(name = "cargo", bin_name = "cargo", disable_help_subcommand = true)]
enum Cargo {
    /// Fits a hakmem allocator to a program.
    #[command(version, arg_required_else_help = true)]
    Hakmem {
        #[command(subcommand)]
        command: Command,
    },
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the hit path of each class in the built program, and checks the spec's budgets.
    Asm(asm::Arguments),
    /// Prints the classes of a spec with their waste.
    Classes(classes::Arguments),
    /// Adds hakmem to a program: the dependency, a spec, the macro call and the build profile.
    Init(init::Arguments),
    /// Runs the program with a recorder, and writes a profile of its allocations.
    Record(record::Arguments),
    /// Writes an HTML report on the classes: what is requested, what is wasted, what a hit costs.
    Report(report::Arguments),
    /// Rewrites the spec with the classes that waste least for a profile.
    Tune(tune::Arguments),
}

fn main() -> ExitCode {
    let Cargo::Hakmem { command } = Cargo::parse();
    let outcome = match command {
        Command::Asm(arguments) => asm::run(&arguments),
        Command::Classes(arguments) => classes::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Record(arguments) => record::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Tune(arguments) => tune::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
