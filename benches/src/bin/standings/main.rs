//! Runs the same workloads on hakmem and on its peers, one process each, in turn, and shows who is ahead.

mod allocators;
mod args;
mod build;
mod callgrind;
mod html;
mod machine;
mod progress;
mod results;
mod rounds;
mod statistics;
mod svg;
mod table;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use args::{Command, Options};

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
        Command::Run(options) => run(&options),
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
    let runners = build::runners(options, &folder)?;
    let machine = machine::describe();
    let mut results = rounds::measure(options, &runners, machine)?;
    if options.callgrind {
        results.instructions = callgrind::measure(&runners)?;
    }
    results.machine.load_after = machine::load();

    let mut text = Vec::new();
    table::write(&mut text, &results).map_err(|error| error.to_string())?;
    io::stdout().write_all(&text).map_err(|error| error.to_string())?;
    let (json, html) = (&options.json, &options.html);
    let json = json.clone().unwrap_or_else(|| folder.join("standings.json"));
    let html = html.clone().unwrap_or_else(|| folder.join("standings.html"));
    save(&json, |file| serde_json::to_writer(file, &results).map_err(io::Error::from))?;
    let text = String::from_utf8_lossy(&text);
    save(&html, |file| file.write_all(html::page(&results, &text).as_bytes()))?;
    println!("\nraw results: {}\nreport:      {}", json.display(), html.display());
    let failures = results.failures();
    if failures > 0 { Err(format!("{failures} runs failed; see above")) } else { Ok(()) }
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
