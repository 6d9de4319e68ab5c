//! `cargo hakmem asm`: the hit path of each class, from the built program, against the spec's budgets.
//!
//! The program is built as it ships, with one feature more: the macro adds an *anchor* for each class, the same path under
//! a name of its own. What is read is machine code after the linker, so the thread-local accesses are the final ones. The
//! rest of the program is not changed by that, but for a function here and there that the compiler inlines differently;
//! `--shipped` tells which, of the program that the user has built.
//!
//! Above 1,024 bytes all classes go through one function, which chooses the group. The path shown is the shortest through
//! it: where groups of different layers stand there, it may be another group's.

use std::path::{Path, PathBuf};

use hakmem_asm::{Binary, HitPath, Jumps};
use hakmem_spec::Class;
use serde_json::{Value, json};

use crate::failure::{Outcome, fail, note, say};
use crate::project::{Build, Project, Selection};

/// Its command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A class, whose instructions are shown: its size in bytes; or `all`, for the table
    #[arg(default_value = "all")]
    class: String,
    /// A program built with hakmem's feature `anchors`, instead of building one
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// The program as it ships, to be compared with the one that is read, function by function
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

/// The hit paths of a class, and its budget.
#[derive(Debug)]
pub(crate) struct ClassPaths {
    /// The class's size.
    pub(crate) size: u32,
    /// Allocation and free. `None`: no way through was found.
    pub(crate) paths: [Option<HitPath>; 2],
    /// The most instructions of each, if the spec says.
    pub(crate) budgets: [Option<u32>; 2],
}

/// What the two paths are called.
pub(crate) const PATHS: [&str; 2] = ["alloc", "free"];

/// Shows the paths. Fails if one is over its budget.
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
        None => project.build(&arguments.build, "anchors")?,
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

/// Says how much of a program's code is the same in the one that was read.
fn compare(shipped: &Path, read: &Path) -> Outcome<()> {
    let comparison = Binary::open(shipped)?.compare(&Binary::open(read)?);
    let same = comparison.functions - comparison.different.len();
    let other = match comparison.different.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>() {
        names if names.is_empty() => String::new(),
        names => format!("; another in {}", names.join(", ")),
    };
    let of = comparison.functions;
    note(&format!("{}: the code of {same} of its {of} functions is that which was read{other}", shipped.display()));
    Ok(())
}

/// Reads the paths of all classes from a program with anchors.
pub(crate) fn read(project: &Project, classes: &[Class], path: &Path) -> Outcome<Vec<ClassPaths>> {
    let binary = Binary::open(path)?;
    let anchors = format!("{}::anchors::", project.module());
    if !binary.functions().iter().any(|function| function.name.contains(&anchors)) {
        return fail(format!(
            "{} has no hit path of `{}`: build it with hakmem's feature `anchors`",
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

/// Fails with a line for each path that is longer than it may be, or cannot be followed although it has a budget.
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
                None => say!("{:>7}  {what:<5} leaves by a jump table", class.size),
            }
        }
    }
}

impl ClassPaths {
    fn print_steps(&self) {
        for (what, path) in PATHS.iter().zip(&self.paths) {
            let Some(path) = path else {
                say!("{what} {}: leaves by a jump table", self.size);
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
