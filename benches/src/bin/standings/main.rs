//! Runs the same workloads on hakmem and on its peers, one process each, in turn, and shows which is ahead.

mod allocators;
mod args;
mod build;
mod callgrind;
mod charts;
mod goals;
mod html;
mod machine;
mod percentiles;
mod results;
mod rounds;
mod table;

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;
use std::process::ExitCode;

use hakmem_harness::output;

use args::Options;
use results::Results;

fn main() -> ExitCode {
    let options = args::parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    output::exit_code("standings", run(&options))
}

fn run(options: &Options) -> Result<(), String> {
    // The runners and the results are beside `release` in the target directory.
    let folder = output::target()?.join("standings");
    match &options.from {
        Some(path) => show(&load(path)?, options, &folder),
        None => measure(options, &folder),
    }
}

fn measure(options: &Options, folder: &Path) -> Result<(), String> {
    let earlier = options.into.as_deref().filter(|path| path.exists()).map(load).transpose()?;
    let runners = build::runners(options, folder)?;
    let machine = machine::describe();
    let mut results = rounds::measure(options, &runners, machine)?;
    if options.callgrind {
        results.instructions = callgrind::measure(&runners)?;
    }
    results.machine.load_after = machine::load();
    if let Some(earlier) = earlier {
        results.keep(earlier)?;
    }
    let json = options.into.as_ref().or(options.json.as_ref()).cloned();
    let json = json.unwrap_or_else(|| folder.join("standings.json"));
    output::save(&json, |file| Ok(serde_json::to_writer(file, &results)?))?;
    output::print(&format!("raw results: {}\n\n", json.display()))?;
    show(&results, options, folder)?;
    let failures = results.failures();
    if failures > 0 { Err(format!("{failures} runs failed; see above")) } else { Ok(()) }
}

/// The table on stdout, and the report.
fn show(results: &Results, options: &Options, folder: &Path) -> Result<(), String> {
    let mut text = Vec::new();
    table::write(&mut text, results).map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&text);
    output::print(&text)?;
    let html = options.html.clone().unwrap_or_else(|| folder.join("standings.html"));
    output::save(&html, |file| file.write_all(html::page(results, &text).as_bytes()))?;
    output::print(&format!("\nreport: {}\n", html.display()))
}

/// What an earlier run has measured.
fn load(path: &Path) -> Result<Results, String> {
    let open = || serde_json::from_reader(BufReader::new(File::open(path)?)).map_err(io::Error::from);
    open().map_err(|error| format!("cannot read {}: {error}", path.display()))
}
