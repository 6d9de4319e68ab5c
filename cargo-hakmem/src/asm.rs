//! `cargo hakmem asm`: the hit path of each class, from the built program, against the spec's budgets.
//!
//! The program is built as usual, and with `--cfg hakmem_anchors`: the macro adds two functions for each class, its
//! *anchors*, whose bodies are the hit paths of allocation and free. They are read from the linked program, so accesses
//! to thread-local storage have their final form. Anchors hardly change the other functions: some may be inlined
//! differently. `--shipped` compares them with the program that the user has built.
//!
//! Above 1,024 bytes all classes share one function, which selects the group. The path shown is the shortest through
//! it; if these groups have different layers, that may be another group's.

use std::path::{Path, PathBuf};

use hakmem_asm::{Binary, HitPath, Jumps};
use hakmem_spec::Class;
use serde_json::{Value, json};

use crate::failure::{Outcome, fail, note, say};
use crate::project::{ANCHORS, Build, Project, Selection};

/// Its command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The size of a class in bytes, to show its instructions; or `all`, for the table
    #[arg(default_value = "all")]
    class: String,
    /// A program built with `--cfg hakmem_anchors`, instead of building one
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// A program built without anchors, to compare function by function with the one that is read
    #[arg(long, value_name = "PATH")]
    shipped: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    build: Build,
    #[command(flatten)]
    selection: Selection,
}

/// The hit paths of a class, and its budgets.
#[derive(Debug)]
pub(crate) struct ClassPaths {
    /// The class's size.
    pub(crate) size: u32,
    /// Of allocation and free. `None`: the path cannot be followed, because of a jump table.
    pub(crate) paths: [Option<HitPath>; 2],
    /// The most instructions that the spec allows for each.
    pub(crate) budgets: [Option<u32>; 2],
}

/// The names of the two paths.
pub(crate) const PATHS: [&str; 2] = ["alloc", "free"];

/// Prints the paths. Fails if one is over its budget.
pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let project = Project::find(&arguments.selection)?;
    let spec = project.spec()?.spec;
    let wanted = match &*arguments.class {
        "all" => None,
        text => match spec.classes.iter().find(|class| class.size.to_string() == text) {
            Some(class) => Some(class.size),
            None => return fail(format!("the spec has no class of {text} bytes")),
        },
    };
    let binary = match &arguments.binary {
        Some(path) => path.clone(),
        None => project.build(&arguments.build, ANCHORS)?,
    };
    let all = read(&project, &spec.classes, &binary)?;
    let shown: Vec<&ClassPaths> = all.iter().filter(|class| wanted.is_none_or(|size| size == class.size)).collect();
    if arguments.json {
        say!("{:#}", Value::from_iter(shown.iter().map(|class| class.json())));
    } else if wanted.is_some() {
        shown.iter().for_each(|class| class.print_steps());
    } else {
        print_table(&shown);
    }
    if let Some(shipped) = &arguments.shipped {
        compare(shipped, &binary)?;
    }
    over_budget(&shown)
}

/// Prints how many of a program's functions have the same code in the one that was read.
fn compare(shipped: &Path, read: &Path) -> Outcome<()> {
    let comparison = Binary::open(shipped)?.compare(&Binary::open(read)?);
    let same = comparison.functions - comparison.different.len();
    let other = match comparison.different.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>() {
        names if names.is_empty() => String::new(),
        names => format!("; it differs in {}", names.join(", ")),
    };
    let of = comparison.functions;
    note(&format!("{}: the code of {same} of {of} functions is as in the program read{other}", shipped.display()));
    Ok(())
}

/// Reads the paths of all classes from a program with anchors.
pub(crate) fn read(project: &Project, classes: &[Class], path: &Path) -> Outcome<Vec<ClassPaths>> {
    let binary = Binary::open(path)?;
    let anchors = format!("{}::anchors::", project.module());
    if !binary.functions().iter().any(|function| function.name.contains(&anchors)) {
        return fail(format!(
            "{} has no hit path of `{}`: build it with `--cfg {ANCHORS}` in RUSTFLAGS",
            path.display(),
            project.invocation.name
        ));
    }
    let paths = classes.iter().map(|class| {
        let path = |what: &str| {
            let name = format!("{anchors}{what}_{}", class.size);
            let function = binary.functions().iter().find(|function| function.name.ends_with(&name))?;
            binary.hit_path(function, Jumps::Follow)
        };
        let budgets = [class.budget.map(|budget| budget.alloc), class.budget.map(|budget| budget.free)];
        ClassPaths { size: class.size, paths: PATHS.map(path), budgets }
    });
    Ok(paths.collect())
}

/// Fails if a path has a budget and is longer, or cannot be followed. The message lists all such paths.
fn over_budget(classes: &[&ClassPaths]) -> Outcome<()> {
    let mut over = Vec::new();
    for class in classes {
        for ((what, path), budget) in PATHS.iter().zip(&class.paths).zip(class.budgets) {
            let Some(budget) = budget else { continue };
            match path.as_ref().map(|path| path.counts.instructions) {
                Some(found) if found <= budget as usize => {}
                Some(found) => over.push(format!("{what} of {} takes {found} instructions, not {budget}", class.size)),
                None => over.push(format!("{what} of {} has no hit path that could be followed", class.size)),
            }
        }
    }
    if over.is_empty() { Ok(()) } else { fail(format!("over budget: {}", over.join("; "))) }
}

fn print_table(classes: &[&ClassPaths]) {
    say!("  class  path   instructions  budget  branches  loads  stores  calls  atomics  bytes  thread-local");
    for class in classes {
        for ((what, path), budget) in PATHS.iter().zip(&class.paths).zip(class.budgets) {
            let budget = budget.map_or_else(|| "-".to_owned(), |budget| budget.to_string());
            match path {
                Some(HitPath { counts, bytes, tls, .. }) => say!(
                    "{:>7}  {what:<5} {:>13}  {budget:>6} {:>9} {:>6} {:>7} {:>6} {:>8} {bytes:>6}  {}",
                    class.size,
                    counts.instructions,
                    counts.branches,
                    counts.loads,
                    counts.stores,
                    counts.calls,
                    counts.atomics,
                    tls.name(),
                ),
                None => say!("{:>7}  {what:<5} goes through a jump table", class.size),
            }
        }
    }
}

impl ClassPaths {
    fn print_steps(&self) {
        for (what, path) in PATHS.iter().zip(&self.paths) {
            let Some(path) = path else {
                say!("{what} {}: goes through a jump table", self.size);
                continue;
            };
            let (instructions, bytes) = (path.counts.instructions, path.bytes);
            say!("{what} {}: {instructions} instructions, {bytes} bytes, {}", self.size, path.tls.name());
            for step in &path.steps {
                say!("  {:>10x}  {}{}", step.address, step.text, if step.taken { "   ; taken" } else { "" });
            }
        }
    }

    fn json(&self) -> Value {
        let path = |(path, budget): (&Option<HitPath>, Option<u32>)| {
            path.as_ref().map(|HitPath { counts, bytes, tls, steps }| {
                json!({
                    "instructions": counts.instructions,
                    "budget": budget,
                    "branches": counts.branches,
                    "loads": counts.loads,
                    "stores": counts.stores,
                    "calls": counts.calls,
                    "atomics": counts.atomics,
                    "stack": counts.stack,
                    "bytes": bytes,
                    "thread_local": tls.name(),
                    "code": steps.iter().map(|step| &*step.text).collect::<Vec<_>>(),
                })
            })
        };
        let [alloc, free] = [0, 1].map(|which| path((&self.paths[which], self.budgets[which])));
        json!({ "class": self.size, "alloc": alloc, "free": free })
    }
}
