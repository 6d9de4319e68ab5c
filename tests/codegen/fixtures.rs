//! The macro in other people's crates: each test writes a small project, drives `cargo` on it and looks at the outcome.
//!
//! All projects share one target directory, so that hakmem and the macro's dependencies are built once; cargo's own lock
//! on that directory lets one build follow the other.

use crate::cargo;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A program whose output depends on its spec.
const COUNTS_CLASSES: &str = r#"
#[global_allocator]
static HEAP: Heap = Heap;

hakmem::allocator! {
    struct Heap = "classes.toml";
}

fn main() {
    println!("{} classes", Heap::CLASSES.len());
}
"#;

/// A package under construction.
pub(crate) struct Project {
    pub(crate) folder: PathBuf,
}

impl Project {
    /// A package that depends on this crate under the name `dependency`.
    pub(crate) fn new(name: &str, edition: &str, dependency: &str) -> Self {
        let folder = fixtures().join(name);
        // What an earlier run left.
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        Self { folder: cargo::project(&format!("fixtures/{name}"), edition, dependency, "") }
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        cargo::write(&self.folder, path, text);
    }

    /// A command of cargo on the project.
    pub(crate) fn command(&self, command: &str, arguments: &[&str]) -> Command {
        let mut cargo = cargo::cargo(command, &self.folder, &fixtures().join("target"));
        cargo.args(arguments);
        cargo
    }

    pub(crate) fn run(&self, command: &str, arguments: &[&str]) -> Output {
        self.command(command, arguments).output().unwrap()
    }

    /// What cargo prints where it succeeds, which it must do without a warning.
    #[track_caller]
    pub(crate) fn succeed(&self, command: &str, arguments: &[&str]) -> String {
        let output = self.run(command, arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "cargo {command} {arguments:?} failed:\n{errors}");
        assert!(!errors.contains("warning"), "cargo {command} {arguments:?} warns:\n{errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What rustc reports where the build must fail.
    #[track_caller]
    pub(crate) fn fail(&self) -> String {
        let output = self.run("build", &[]);
        assert!(!output.status.success(), "the build should have failed");
        String::from_utf8(output.stderr).unwrap()
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("fixtures")
}

/// How many errors a report has, without cargo's closing line.
fn errors_in(report: &str) -> usize {
    report.lines().filter(|line| line.starts_with("error") && !line.starts_with("error: could not compile")).count()
}

fn clippy_is_there() -> bool {
    Command::new(env!("CARGO")).args(["clippy", "--version"]).output().unwrap().status.success()
}

#[test]
fn a_spec_in_a_file_is_reported_and_an_edit_of_it_rebuilds_the_program() {
    let project = Project::new("spec_in_file", "2024", "hakmem");
    project.write("src/main.rs", COUNTS_CLASSES);
    let report = project.fail();
    let missing = project.folder.join("classes.toml");
    assert!(report.contains(&format!("cannot read the spec {}", missing.display())), "{report}");
    assert!(report.contains("relative to the folder of Cargo.toml"), "{report}");
    assert_eq!(errors_in(&report), 1, "{report}");

    project.write("classes.toml", "# Too small by four.\n[[class]]\nsize = 20\n");
    let report = project.fail();
    assert!(report.contains("error: a class size must be a multiple of 8"), "{report}");
    assert!(report.contains(" --> classes.toml:3:8\n"), "{report}");
    assert!(report.contains("3 | size = 20\n"), "{report}");
    assert_eq!(errors_in(&report), 1, "{report}");

    project.write("classes.toml", "[[class]]\nsize = 24\n");
    assert_eq!(project.succeed("run", &[]), "1 classes\n");
    project.write("classes.toml", "[[class]]\nsizes = [24, 48, 96]\n");
    assert_eq!(project.succeed("run", &[]), "3 classes\n");
    // From good to bad and back, too.
    project.write("classes.toml", "[[class]]\nsizes = [24, 48, 20]\n");
    assert!(project.fail().contains(" --> classes.toml:2:18\n"));
    project.write("classes.toml", "[[class]]\nsizes = [24, 48]\n");
    assert_eq!(project.succeed("run", &[]), "2 classes\n");
}

#[test]
fn a_renamed_dependency_serves_every_target_of_both_editions() {
    // The same text for each target: an allocator in force, and a look at it.
    let target = r#"
#[global_allocator]
static HEAP: Heap = Heap;

mem::allocator! {
    struct Heap {
        [[class]]
        sizes = [16, 32, 64]
    }
}

fn check() {
    let block = Box::new(7_u64);
    assert!(Heap::owns((&raw const *block).cast()));
}
"#;
    for edition in ["2021", "2024"] {
        let project = Project::new(&format!("renamed_{edition}"), edition, "mem");
        // The library's allocator is not in force, as the other targets bring their own.
        project.write(
            "src/lib.rs",
            "mem::allocator! {\n    pub struct LibraryHeap;\n}\n\npub fn check() {\n    \
             assert!(!LibraryHeap::owns(std::ptr::null()));\n}\n",
        );
        let main = format!("{target}\nfn main() {{\n    check();\n    renamed_{edition}::check();\n}}\n");
        project.write("src/main.rs", &main);
        project.write("examples/example.rs", &main);
        project.write("tests/test.rs", &format!("{target}\n#[test]\nfn owns() {{\n    check();\n}}\n"));
        project.succeed("run", &[]);
        project.succeed("run", &["--example", "example"]);
        assert!(project.succeed("test", &["--test", "test"]).contains("1 passed"));
    }
}

#[test]
fn a_library_without_std_can_hold_the_allocator() {
    let project = Project::new("without_std", "2024", "hakmem");
    project.write(
        "src/lib.rs",
        r"
#![no_std]

extern crate alloc;

use alloc::boxed::Box;

hakmem::allocator! {
    pub struct Heap;
}

pub fn boxed() -> Box<u64> {
    Box::new(7)
}
",
    );
    project.write(
        "src/main.rs",
        r#"
use without_std::Heap;

#[global_allocator]
static HEAP: Heap = Heap;

fn main() {
    let block = without_std::boxed();
    println!("{} {}", block, Heap::owns((&raw const *block).cast()));
}
"#,
    );
    assert_eq!(project.succeed("run", &[]), "7 true\n");
}

#[test]
fn the_strictest_lints_find_nothing_in_generated_code() {
    let lints = "#![deny(warnings, missing_docs, unused, unreachable_pub, missing_debug_implementations)]\n\
                 #![deny(clippy::all, clippy::pedantic, clippy::undocumented_unsafe_blocks)]\n";
    let project = Project::new("linted", "2024", "hakmem");
    // A public type that the user did not describe, one behind a private module, and one that is not used.
    project.write(
        "src/lib.rs",
        &format!(
            "//! A library.\n{lints}{}",
            r"
mod inner {
    hakmem::allocator! {
        pub(crate) struct Heap {
            [[class]]
            sizes = { from = 16, to = 4096, steps_per_doubling = 2 }
        }
    }
}

mod unused {
    hakmem::allocator! {
        struct Heap;
    }
}

hakmem::allocator! {
    pub struct Heap;
}

/// Uses the inner one.
#[must_use]
pub fn owns(pointer: *const u8) -> bool {
    inner::Heap::owns(pointer)
}
"
        ),
    );
    project.write("classes.toml", "[[class]]\nsize = 64\n");
    project.write("src/main.rs", &format!("//! A program.\n{lints}{COUNTS_CLASSES}"));
    // Without clippy, rustc's own lints have to do.
    project.succeed(if clippy_is_there() { "clippy" } else { "check" }, &[]);
}

/// Lints that a user may turn on, beyond those of the test above; rustdoc's are on by themselves.
const EVERY_LINT: &str = r#"
[lints.rust]
warnings = "deny"
unsafe_code = "forbid"
missing_docs = "deny"
missing_debug_implementations = "deny"
missing_copy_implementations = "deny"
unreachable_pub = "deny"
unsafe_op_in_unsafe_fn = "deny"
unused_qualifications = "deny"
unused_results = "deny"
trivial_casts = "deny"
trivial_numeric_casts = "deny"
single_use_lifetimes = "deny"
unused = { level = "deny", priority = -1 }
nonstandard_style = { level = "deny", priority = -1 }
future_incompatible = { level = "deny", priority = -1 }
rust_2018_idioms = { level = "deny", priority = -1 }
rust_2024_compatibility = { level = "deny", priority = -1 }

[lints.clippy]
all = { level = "deny", priority = -1 }
pedantic = { level = "deny", priority = -1 }
nursery = { level = "deny", priority = -1 }
undocumented_unsafe_blocks = "deny"
multiple_unsafe_ops_per_block = "deny"
arithmetic_side_effects = "deny"
indexing_slicing = "deny"
redundant_pub_crate = { level = "allow", priority = 1 } # at odds with unreachable_pub
"#;

/// rustc and clippy do not hold what a macro of another crate wrote to the lints of its users, as long as the expansion
/// does not set them either: an `allow(unsafe_code)` is an error under `forbid`. The names in this project are those
/// that generated code has, too.
#[test]
fn unsafe_code_may_be_forbidden_and_names_are_free() {
    for edition in ["2018", "2021", "2024"] {
        let name = format!("strict_{edition}");
        let project = Project::new(&name, edition, "mem");
        let manifest = fs::read_to_string(project.folder.join("Cargo.toml")).unwrap();
        project.write("Cargo.toml", &(manifest.replace(&format!("name = {name:?}"), "name = \"strict\"") + EVERY_LINT));
        project.write("src/lib.rs", include_str!("strict/src/lib.rs"));
        project.write("src/main.rs", include_str!("strict/src/main.rs"));
        project.write("classes.toml", include_str!("strict/classes.toml"));
        project.write("examples/library_heap.rs", include_str!("strict/examples/library_heap.rs"));
        project.write("tests/heap.rs", include_str!("strict/tests/heap.rs"));
        assert_eq!(project.succeed("run", &[]), "1003 squares from Heap\n");
        assert!(project.succeed("run", &["--example", "library_heap"]).lines().count() > 40, "the table of classes");
        assert!(project.succeed("test", &["--test", "heap"]).contains("1 passed"));
        project.succeed("doc", &["--no-deps"]);
        if clippy_is_there() {
            project.succeed("clippy", &["--all-targets"]);
        }
    }
}
