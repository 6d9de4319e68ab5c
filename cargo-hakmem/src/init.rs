//! `cargo hakmem init`: adds hakmem to a program.
//!
//! It adds the dependency, a spec to edit, the macro call and the recommended build profile. It shows each change as a
//! diff and asks before making them.

use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use cargo_metadata::{Package, Target};
use proc_macro2::{TokenStream, TokenTree};
use similar::TextDiff;
use toml_edit::{DocumentMut, InlineTable, Item, Table, value};

use crate::failure::{Outcome, fail, say};
use crate::files;
use crate::project::{self, Selection};

/// The command line of `cargo hakmem init`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Show the changes without making them
    #[arg(long)]
    dry_run: bool,
    /// Make the changes without asking
    #[arg(short, long, conflicts_with = "dry_run")]
    yes: bool,
    /// The folder of the hakmem to depend on; by default the one this tool was built from, or the registry's
    #[arg(long, value_name = "PATH")]
    hakmem_path: Option<PathBuf>,
    #[command(flatten)]
    selection: Selection,
}

/// The name of the new spec, beside Cargo.toml.
const SPEC: &str = "classes.toml";

const CALL: &str = "hakmem::allocator! {
    /// Everything this program allocates: see classes.toml.
    pub struct Heap = \"classes.toml\";
}

#[global_allocator]
static GLOBAL: Heap = Heap;
";

/// A change of one file.
struct Change {
    path: PathBuf,
    old: Option<String>,
    new: String,
}

/// Shows the changes, asks, and makes them.
pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let (package, workspace) = project::package_in_workspace(&arguments.selection)?;
    let target = target(&package, &arguments.selection)?;
    refuse_second_allocator(&package, target)?;
    let manifest = package.manifest_path.as_std_path();
    let spec = manifest.with_file_name(SPEC);
    if spec.exists() {
        return fail(format!("{} exists already: remove it, or name it in a macro call of your own", spec.display()));
    }
    let hakmem = local_hakmem(arguments.hakmem_path.as_deref())?;
    let root = workspace.join("Cargo.toml");
    let mut changes = vec![Change::of(manifest, |text| with_dependency(text, hakmem.as_deref()))?];
    if root == manifest {
        changes[0].new = with_profile(&changes[0].new)?;
    } else {
        // Cargo reads profiles only from the manifest of the workspace.
        changes.push(Change::of(&root, with_profile)?);
    }
    changes.push(Change { path: spec, old: None, new: hakmem_spec::Source::default_spec().text });
    changes.push(Change::of(target.src_path.as_std_path(), with_call)?);
    changes.retain(|change| change.old.as_ref() != Some(&change.new));
    for change in &changes {
        change.show();
    }
    if arguments.dry_run {
        return Ok(());
    }
    if !arguments.yes && !confirmed(changes.len())? {
        return fail("nothing was changed");
    }
    changes.iter().try_for_each(Change::make)?;
    say!("next: `cargo hakmem record`, then `cargo hakmem tune hakmem.profile`");
    Ok(())
}

/// The target that gets the allocator: the program, or the library of a package without one.
fn target<'p>(package: &'p Package, selection: &Selection) -> Outcome<&'p Target> {
    let library = || package.targets.iter().find(|target| target.is_lib());
    match project::program(package, selection)?.or_else(library) {
        Some(target) => Ok(target),
        None => fail(format!("the package `{}` has neither a program nor a library", package.name)),
    }
}

fn refuse_second_allocator(package: &Package, target: &Target) -> Outcome<()> {
    let libraries = package.targets.iter().filter(|other| other.is_lib());
    for target in libraries.chain([target]) {
        let found = project::findings(package, target);
        if let Some(call) = found.invocation() {
            return fail(format!("{} calls `hakmem::allocator!` already", call.file.display()));
        }
        if let Some((file, name)) = found.global.first() {
            return fail(format!(
                "{} already has a global allocator, `{name}`: remove it first, since a program can have only one",
                file.display()
            ));
        }
    }
    Ok(())
}

/// The folder of hakmem: `path`, or by default the sources that this tool was built from. `None`: these do not exist,
/// and the dependency is the registry's.
fn local_hakmem(path: Option<&Path>) -> Outcome<Option<PathBuf>> {
    let is_hakmem = |folder: &Path| {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).ok();
        let document = manifest.and_then(|text| DocumentMut::from_str(&text).ok());
        document.is_some_and(|document| document["package"]["name"].as_str() == Some("hakmem"))
    };
    let folder = path.unwrap_or(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")));
    match folder.canonicalize().ok().filter(|folder| is_hakmem(folder)) {
        Some(folder) => Ok(Some(folder)),
        None if path.is_some() => fail(format!("there is no hakmem in {}", folder.display())),
        None => Ok(None),
    }
}

fn with_dependency(text: &str, path: Option<&Path>) -> Outcome<String> {
    let mut document = DocumentMut::from_str(text)?;
    let dependencies = document.entry("dependencies").or_insert(Item::Table(Table::new()));
    if dependencies.get("hakmem").is_none() {
        dependencies["hakmem"] = match path {
            None => value(env!("CARGO_PKG_VERSION")),
            Some(path) => value(InlineTable::from_iter([("path", path.display().to_string())])),
        };
    }
    Ok(document.to_string())
}

/// Adds fat link-time optimisation, unless the release profile sets `lto`: it inlines hit paths into dependencies too.
fn with_profile(text: &str) -> Outcome<String> {
    let mut document = DocumentMut::from_str(text)?;
    let mut implicit = Table::new();
    implicit.set_implicit(true);
    let profiles = document.entry("profile").or_insert(Item::Table(implicit));
    let release = profiles.as_table_like_mut().map(|table| table.entry("release").or_insert(Item::Table(Table::new())));
    if let Some(release) = release.filter(|release| release.get("lto").is_none()) {
        release["lto"] = value("fat");
    }
    Ok(document.to_string())
}

/// Adds the macro call, after the inner attributes and comments, which must come first.
fn with_call(text: &str) -> Outcome<String> {
    let Ok(tokens) = TokenStream::from_str(text) else {
        return fail("the program's main file is not valid Rust");
    };
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut end = 0;
    for attribute in tokens.chunks(3) {
        let [TokenTree::Punct(sharp), TokenTree::Punct(bang), TokenTree::Group(group)] = attribute else { break };
        if (sharp.as_char(), bang.as_char()) != ('#', '!') {
            break;
        }
        end = group.span().byte_range().end;
    }
    let line_end = text[end..].find('\n').map_or(text.len(), |newline| end + newline + 1);
    let (before, after) = text.split_at(if end == 0 { 0 } else { line_end });
    let gap = if before.is_empty() { "" } else { "\n" };
    let after = after.trim_start_matches('\n');
    Ok(format!("{before}{gap}{CALL}\n{after}"))
}

impl Change {
    fn of(path: &Path, change: impl FnOnce(&str) -> Outcome<String>) -> Outcome<Self> {
        let old = files::read("the file", path)?;
        let new = change(&old)?;
        Ok(Self { path: path.to_owned(), old: Some(old), new })
    }

    fn show(&self) {
        let name = self.path.display().to_string();
        let old_name = if self.old.is_some() { &*name } else { "/dev/null" };
        let old = self.old.as_deref().unwrap_or_default();
        let diff = TextDiff::from_lines(old, &self.new);
        say!("{}", diff.unified_diff().header(old_name, &name).to_string().trim_end());
    }

    fn make(&self) -> Outcome<()> {
        files::write("the file", &self.path, &self.new)
    }
}

/// Asks for confirmation. No answer means no.
fn confirmed(files: usize) -> Outcome<bool> {
    write!(io::stdout(), "Change {files} files? [y/N] ")?;
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_follows_inner_attributes() {
        let text = "//! A program.\n\n#![forbid(unsafe_code)]\n\nuse std::fmt;\n\nfn main() {}\n";
        let new = with_call(text).unwrap();
        assert!(new.starts_with("//! A program.\n\n#![forbid(unsafe_code)]\n\nhakmem::allocator! {"), "{new}");
        assert!(new.ends_with("static GLOBAL: Heap = Heap;\n\nuse std::fmt;\n\nfn main() {}\n"), "{new}");
        assert!(with_call("fn main() {}\n").unwrap().starts_with("hakmem::allocator! {"));
    }

    #[test]
    fn existing_keys_are_kept() {
        let text = "[dependencies]\nserde = \"1\" # data\n\n[profile.release]\nlto = \"thin\"\n";
        let new = with_profile(&with_dependency(text, None).unwrap()).unwrap();
        assert!(new.contains("serde = \"1\" # data\nhakmem = \"") && new.contains("lto = \"thin\""), "{new}");
        let bare = with_profile("[package]\nname = \"a\"\n").unwrap();
        assert_eq!(bare, "[package]\nname = \"a\"\n\n[profile.release]\nlto = \"fat\"\n");
    }
}
