//! Whether tuning keeps its promise: real programs under the default spec, the tuned one, and one chosen greedily.
//!
//! ```text
//! cargo build --release -p cargo-hakmem
//! cargo run --release -p cargo-hakmem --example proof -- --rounds 5 --json docs/tuning.json [PROGRAM…]
//! ```
//!
//! For each program: record it under the default spec; tune, and tune greedily with as many classes; record it again
//! under the tuned spec, which tells the waste that came of it; build it under each of the three, and run these in turn.
//! The programs are those of `benches/programs` and the quickstart. They are built without link-time optimization, so
//! that a change of the spec is a matter of seconds: every variant of a program is built alike.

mod project;
mod table;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use project::{Project, Run};
use serde_json::{Value, json};

/// A program: its name, what it is given, and how often it is recorded, and run in a round. Where several threads meet, no two
/// runs are alike.
type Program = (&'static str, &'static [&'static str], u32);

/// The programs. `quickstart` reads the sources of every crate that cargo has unpacked here, at
/// most so many megabytes; the others take the scale of the standings.
const PROGRAMS: &[Program] = &[
    ("quickstart", &["--limit-mb", "60"], 3),
    ("syntax", &["60"], 1),
    ("json", &["80"], 1),
    ("dom", &["210"], 1),
    ("persistent", &["76"], 1),
    ("index", &["135"], 1),
    ("compiler", &["115"], 1),
    ("sql", &["22"], 1),
    ("cache", &["45"], 3),
    ("graph", &["60"], 1),
];

/// The specs that are compared.
const SPECS: [&str; 3] = ["default", "tuned", "greedy"];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("proof: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let (mut rounds, mut output, mut only) = (5, None, Vec::new());
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--rounds" => rounds = arguments.next().and_then(|n| n.parse().ok()).ok_or("--rounds needs a number")?,
            "--json" => output = Some(arguments.next().ok_or("--json needs a path")?),
            _ if PROGRAMS.iter().any(|(name, ..)| *name == argument) => only.push(argument),
            _ => {
                let names: Vec<&str> = PROGRAMS.iter().map(|(name, ..)| *name).collect();
                return Err(format!(
                    "{argument:?}: expected --rounds N, --json PATH, or a program: {}",
                    names.join(", ")
                ));
            }
        }
    }
    let project = Project::create()?;
    let mut programs = Vec::new();
    let chosen: Vec<&Program> =
        PROGRAMS.iter().filter(|(name, ..)| only.is_empty() || only.iter().any(|one| one == name)).collect();
    let start = Instant::now();
    for (number, program) in chosen.iter().enumerate() {
        let step = |what: &str| {
            let seconds = start.elapsed().as_secs();
            eprintln!("{seconds:>4} s  {}/{} {}: {what}", number + 1, chosen.len(), program.0);
        };
        programs.push(prove(&project, program, rounds, &step)?);
        let all = json!({ "rounds": rounds, "programs": programs });
        if let Some(output) = &output {
            fs::write(output, format!("{all:#}\n")).map_err(|error| format!("{output}: {error}"))?;
        }
    }
    print!("{}", table::markdown(&programs));
    Ok(())
}

/// One program under the three specs.
fn prove(project: &Project, program: &Program, rounds: usize, step: &dyn Fn(&str)) -> Result<Value, String> {
    let &(name, given, records) = program;
    let spec = |which: &str| project.file(&format!("{name}-{which}.toml"));
    let profile = |which: &str| project.file(&format!("{name}-{which}.profile"));
    let copy = |from: &Path, to: &Path| fs::copy(from, to).map_err(|error| format!("{}: {error}", from.display()));
    copy(&project.default_spec(), &spec("default"))?;
    step("recording it under the default spec");
    project.record(name, given, records, &spec("default"), &profile("default"))?;
    let mut predicted = project.tune(&profile("default"), &spec("default"), &spec("tuned"), &[])?;
    let classes = predicted["chosen"].to_string();
    project.tune(&profile("default"), &spec("default"), &spec("greedy"), &["--greedy", "--classes", &classes])?;
    step("recording it under the tuned spec");
    project.record(name, given, records, &spec("tuned"), &profile("tuned"))?;
    // What the second run really got: the block of each request is what the generated tables said.
    predicted["realised"] = realised(&fs::read_to_string(profile("tuned")).map_err(|error| error.to_string())?);
    predicted["realised_default"] =
        realised(&fs::read_to_string(profile("default")).map_err(|error| error.to_string())?);

    step("building it under each spec");
    let binaries = SPECS.map(|which| project.build(name, &spec(which), which));
    let mut runs = SPECS.map(|_| Vec::new());
    let times = rounds * records as usize;
    step(&format!("running each {times} times"));
    for round in 0..times {
        for turn in 0..SPECS.len() {
            // Another one begins each round.
            let which = (round + turn) % SPECS.len();
            runs[which].push(Run::of(binaries[which].as_ref().map_err(String::clone)?, name, given)?);
        }
    }
    let runs = SPECS
        .iter()
        .zip(&runs)
        .map(|(which, runs)| ((*which).to_owned(), runs.iter().map(Run::json).collect::<Vec<_>>().into()));
    Ok(json!({ "program": name, "given": given, "tuning": predicted, "runs": Value::Object(runs.collect()) }))
}

/// Bytes asked for at the peak of a recorded run, and bytes that were in their blocks besides.
fn realised(profile: &str) -> Value {
    let (mut requested, mut waste) = (0, 0);
    for line in profile.lines().filter(|line| line.starts_with("request ")) {
        let field = |name: &str| -> u64 {
            let found = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            found.and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        let (size, at_peak) = (field("size"), field("at_peak"));
        let block = match field("block") {
            0 => size.next_multiple_of(4096),
            block => block,
        };
        requested += size * at_peak;
        waste += (block - size) * at_peak;
    }
    json!({ "requested": requested, "waste": waste })
}
