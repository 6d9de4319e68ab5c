//! Misuse of C's `malloc`, one small program each, under libraries with different specs: what happens is what
//! `docs/HARDENING.md` says, row by row. Needs a C compiler; without one there is nothing to run.

use crate::libraries::libraries;
use crate::rerun::text;
use crate::{c_compiler, preloading};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const TEXT: &str = include_str!("../../docs/HARDENING.md");

/// No program takes longer that does not hang.
const LONGEST: Duration = Duration::from_secs(60);

/// The columns of the table: what a library's spec says of each class.
const SPECS: [(&str, &str); 3] = [
    ("pages", "layers = [\"pages\"]"),
    ("lists", "layers = [\"unified\", \"sll\"]"),
    ("checked", "layers = [\"quarantine\", \"sll\"]\nheader = \"region-id\""),
];

/// A library with this in its `[defaults]`. All have the same classes.
fn source(defaults: &str) -> String {
    format!(
        "mod heap {{\n    hakmem::allocator! {{\n        pub(crate) struct Heap {{\n\
         tls = \"initial-exec\"\n\n[defaults]\n{defaults}\n\n[[class]]\nsizes = {{ from = 16, to = 128, step = 16 }}\n\n\
         [[class]]\nsizes = {{ from = 160, to = 1024, steps_per_doubling = 4 }}\n\n[[class]]\n\
         sizes = {{ from = 1280, to = \"8 KiB\", steps_per_doubling = 4 }}\nspecialise = false\n\n[[class]]\n\
         sizes = {{ from = \"10 KiB\", to = \"256 KiB\", steps_per_doubling = 4 }}\n{}\nspecialise = false\n\
         }}\n    }}\n}}\n\nhakmem::export_malloc!(heap::Heap);\n",
        // Spans of several slabs are not for `pages`.
        if defaults.contains("pages") { "layers = [\"heapv2\"]" } else { "" },
    )
}

/// What a program did, as the table says it: with so many threads, and `other` as a library to load.
fn outcome(program: &Path, library: &Path, threads: usize, other: &Path) -> String {
    let mut child = Command::new(program)
        .arg(other)
        .env("HAKMEM_TEST_THREADS", threads.to_string())
        .envs(preloading(library))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let start = Instant::now();
    while start.elapsed() < LONGEST && child.try_wait().expect("a child of ours").is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    // If it has ended this does nothing.
    let _ = child.kill();
    let output = child.wait_with_output().expect("a child of ours");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let lines: Vec<&str> = stderr.lines().collect();
    match (output.status.signal(), &lines[..]) {
        (Some(libc::SIGABRT), [line]) if line.starts_with("hakmem: ") => {
            assert!(line.contains(" (pointer 0x") && line.ends_with(')'), "{line}");
            line["hakmem: ".len()..].split(" (pointer").next().unwrap_or_default().to_owned()
        }
        (None, []) if output.status.success() && stdout == "survived\n" => "survives".to_owned(),
        (Some(libc::SIGSEGV), []) => "SIGSEGV".to_owned(),
        _ => format!("{} {stdout:?} {stderr:?}", output.status),
    }
}

/// The table's rows: the program, and a cell for each spec. A cell in quotes is the line; `1`, `2`… stand for those below.
fn rows() -> Vec<(String, Vec<String>)> {
    let (_, table) = TEXT.split_once("| program |").expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
        let name = cells.next().unwrap_or_default().trim_matches('`').to_owned();
        // The second says what it does.
        (name, cells.skip(1).map(|cell| message(&cell)).collect())
    })
    .collect()
}

/// What a cell stands for.
fn message(cell: &str) -> String {
    match cell.parse::<usize>() {
        Ok(number) => {
            let start = format!("\n{number}. `");
            let (_, rest) = TEXT.split_once(&start).unwrap_or_else(|| panic!("there is no line {number}"));
            rest.split_once('`').expect("the line ends").0.to_owned()
        }
        Err(_) => cell.to_owned(),
    }
}

#[test]
fn misuse_ends_as_the_document_says() {
    let Some(compiler) = c_compiler() else {
        println!("no C compiler: nothing to run");
        return;
    };
    let libraries = libraries("hardening", &SPECS.map(|(name, spec)| (name, source(spec))), true);
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/malloc/hardening");
    let mut programs: Vec<String> = fs::read_dir(&sources)
        .expect("the programs")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".c").map(str::to_owned))
        .collect();
    programs.sort();
    let rows = rows();
    let mut listed: Vec<String> = rows.iter().map(|(name, _)| name.clone()).collect();
    listed.sort();
    assert_eq!(listed, programs, "the table has a row for each program");
    let mut differences = String::new();
    for (name, expected) in rows {
        let program = libraries.join(&name);
        let status = Command::new(&compiler)
            .args(["-O0", "-w", "-fno-builtin", "-pthread", "-o"])
            .arg(&program)
            .arg(sources.join(format!("{name}.c")))
            .arg("-ldl")
            .status()
            .expect("the compiler runs");
        assert!(status.success(), "{name} does not compile");
        for (number, ((spec, _), expected)) in SPECS.iter().zip(expected).enumerate() {
            let library = |number: usize| libraries.join(format!("lib{}.so", SPECS[number % SPECS.len()].0));
            for threads in [1, 8] {
                let found = outcome(&program, &library(number), threads, &library(number + 1));
                if found != expected {
                    writeln!(differences, "{name} under {spec}, {threads} threads: {found}, not {expected}")
                        .expect("writing to a string");
                }
            }
        }
    }
    assert!(differences.is_empty(), "{differences}");
}
