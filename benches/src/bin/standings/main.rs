//! Runs the same workloads on hakmem and on its peers, one process each, in turn, and shows who is ahead.

mod allocators;
mod args;
mod build;
mod callgrind;
mod goals;
mod html;
mod machine;
mod progress;
mod results;
mod rounds;
mod statistics;
mod svg;
mod table;

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use args::{Command, Options};
use results::Results;

fn main() -> ExitCode {
    let command = match args::parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(message) => {
            eprintln!("standings: {message}\nTry --help.");
            return ExitCode::from(2);
        }
    };
    let result = match command {
        Command::Help => io::stdout().write_all(args::help().as_bytes()).map_err(|error| error.to_string()),
        Command::Run(options) => match &options.from {
            Some(path) => build::folder().and_then(|folder| show(&load(path)?, &options, &folder)),
            None => run(&options),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("standings: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let folder = build::folder()?;
    let earlier = options.into.as_deref().filter(|path| path.exists()).map(load).transpose()?;
    let runners = build::runners(options, &folder)?;
    let asked = build::asked(options, &folder)?;
    let machine = machine::describe();
    let mut results = rounds::measure(options, &runners, asked.as_ref(), machine)?;
    if options.callgrind {
        results.instructions = callgrind::measure(&runners)?;
    }
    results.machine.load_after = machine::load();
    if let Some(earlier) = earlier {
        results.keep(earlier)?;
    }
    let json = options.into.as_ref().or(options.json.as_ref()).cloned();
    let json = json.unwrap_or_else(|| folder.join("standings.json"));
    save(&json, |file| serde_json::to_writer(file, &results).map_err(io::Error::from))?;
    println!("raw results: {}\n", json.display());
    show(&results, options, &folder)?;
    let failures = results.failures();
    if failures > 0 { Err(format!("{failures} runs failed; see above")) } else { Ok(()) }
}

/// The table on stdout, and the report.
fn show(results: &Results, options: &Options, folder: &Path) -> Result<(), String> {
    let mut text = Vec::new();
    table::write(&mut text, results).map_err(|error| error.to_string())?;
    io::stdout().write_all(&text).map_err(|error| error.to_string())?;
    let html = options.html.clone().unwrap_or_else(|| folder.join("standings.html"));
    let text = String::from_utf8_lossy(&text);
    save(&html, |file| file.write_all(html::page(results, &text).as_bytes()))?;
    println!("\nreport: {}", html.display());
    Ok(())
}

/// What an earlier run has measured.
fn load(path: &Path) -> Result<Results, String> {
    let open = || serde_json::from_reader(BufReader::new(File::open(path)?)).map_err(io::Error::from);
    open().map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn save(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<(), String> {
    let saved = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = BufWriter::new(File::create(path)?);
        write(&mut file)?;
        file.flush()
    };
    saved().map_err(|error| format!("cannot write {}: {error}", path.display()))
}
