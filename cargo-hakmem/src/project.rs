//! The package that invokes the macro: where its spec is, and how to build it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_metadata::{Message, Metadata, MetadataCommand, Package, Target};
use hakmem_spec::{Source, Spec};

use crate::failure::{Failure, Outcome, fail};
use crate::files;
use crate::invocation::{Findings, Invocation, SpecAt};
use crate::rustflags;

/// The cfg of hakmem under which the allocator's methods go through the recorder.
pub(crate) const RECORD: &str = "hakmem_record";

/// The cfg of hakmem under which each class's hit paths are also emitted as separate functions.
pub(crate) const ANCHORS: &str = "hakmem_anchors";

/// The options that select a package and a program of it.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Selection {
    /// The package's Cargo.toml
    #[arg(long, value_name = "PATH")]
    pub(crate) manifest_path: Option<PathBuf>,
    /// The package, if the workspace has several
    #[arg(short, long, value_name = "NAME")]
    pub(crate) package: Option<String>,
    /// The program, if the package has several
    #[arg(long, value_name = "NAME")]
    pub(crate) bin: Option<String>,
    /// The example to use as the program
    #[arg(long, value_name = "NAME", conflicts_with = "bin")]
    pub(crate) example: Option<String>,
}

/// The options of a build.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Build {
    /// The cargo profile
    #[arg(long = "cargo-profile", value_name = "NAME", default_value = "release")]
    profile: String,
    /// Features of the package
    #[arg(short = 'F', long, value_name = "FEATURES")]
    features: Vec<String>,
    /// All features of the package
    #[arg(long)]
    all_features: bool,
    /// No default features of the package
    #[arg(long)]
    no_default_features: bool,
}

/// A package that invokes the macro.
#[derive(Debug)]
pub(crate) struct Project {
    selection: Selection,
    package: Package,
    target_directory: PathBuf,
    /// The invocation of the macro.
    pub(crate) invocation: Invocation,
}

/// A spec with its text.
#[derive(Debug)]
pub(crate) struct LoadedSpec {
    /// The text and its name in messages.
    pub(crate) source: Source,
    /// The parsed spec.
    pub(crate) spec: Spec,
}

impl LoadedSpec {
    fn new(source: Source) -> Outcome<Self> {
        match hakmem_spec::parse(&source) {
            Ok(spec) => Ok(Self { source, spec }),
            Err(errors) => Err(Failure::of_spec(&source, &errors)),
        }
    }

    /// The spec in a file.
    pub(crate) fn read(path: &Path) -> Outcome<Self> {
        let text = files::read("the spec", path)?;
        Self::new(Source::file(path.display().to_string(), text))
    }
}

/// The selected package, whether it invokes the macro or not, and its workspace's folder.
pub(crate) fn package_in_workspace(selection: &Selection) -> Outcome<(Package, PathBuf)> {
    let metadata = metadata(selection)?;
    let root = metadata.workspace_root.clone().into_std_path_buf();
    Ok((choose_package(&metadata, selection)?, root))
}

fn metadata(selection: &Selection) -> Outcome<Metadata> {
    let mut command = MetadataCommand::new();
    command.no_deps();
    if let Some(path) = &selection.manifest_path {
        command.manifest_path(path);
    }
    command.exec().or_else(|error| match error {
        cargo_metadata::Error::CargoMetadata { stderr } => fail(stderr.trim().trim_start_matches("error: ")),
        error => fail(error.to_string()),
    })
}

/// The named package; without a name, the one that contains the current folder, else the workspace's only default
/// member, else its only member.
fn choose_package(metadata: &Metadata, selection: &Selection) -> Outcome<Package> {
    let members = metadata.workspace_packages();
    let names = || members.iter().map(|package| package.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(name) = &selection.package {
        let named = members.iter().find(|package| package.name.as_str() == name);
        return named.map_or_else(
            || fail(format!("there is no package `{name}`, but {}", names())),
            |&found| Ok(found.clone()),
        );
    }
    let defaults = metadata.workspace_default_packages();
    let around = package_around(&members, selection);
    match around.or_else(|| only(&defaults)).or_else(|| only(&members)) {
        Some(package) => Ok(package.clone()),
        None => fail(format!("the workspace has several packages; choose one with -p: {}", names())),
    }
}

/// The only element of a list; `None` if there are more or none.
fn only<'m>(packages: &[&'m Package]) -> Option<&'m Package> {
    if let [only] = packages { Some(only) } else { None }
}

/// The package that contains the manifest, or else the current folder. Of nested packages the innermost.
fn package_around<'m>(members: &[&'m Package], selection: &Selection) -> Option<&'m Package> {
    let manifest = selection.manifest_path.as_ref().map(|path| path.canonicalize());
    let here = match manifest {
        Some(manifest) => manifest.ok()?.parent()?.to_owned(),
        None => std::env::current_dir().ok()?,
    };
    let folder = |package: &Package| package.manifest_path.parent().map(|folder| folder.as_std_path().to_owned());
    let around = members.iter().filter(|package| folder(package).is_some_and(|folder| here.starts_with(folder)));
    around.max_by_key(|package| package.manifest_path.as_str().len()).copied()
}

/// The selected program: the named one, that of `default-run`, or the only one. `None`: the package has no program.
pub(crate) fn program<'p>(package: &'p Package, selection: &Selection) -> Outcome<Option<&'p Target>> {
    let named = selection.bin.as_ref().or(selection.example.as_ref());
    let of_kind = |target: &&Target| if selection.example.is_some() { target.is_example() } else { target.is_bin() };
    let programs: Vec<&Target> = package.targets.iter().filter(of_kind).collect();
    let names = || programs.iter().map(|target| &*target.name).collect::<Vec<_>>().join(", ");
    let called = |name: &String| programs.iter().find(|target| target.name == *name).copied();
    match (named, &programs[..]) {
        (Some(name), []) => fail(format!("the package `{}` has no program `{name}`", package.name)),
        (Some(name), _) => match called(name) {
            Some(program) => Ok(Some(program)),
            None => fail(format!("the package `{}` has no program `{name}`, but {}", package.name, names())),
        },
        (None, []) => Ok(None),
        (None, [only]) => Ok(Some(only)),
        (None, _) => match package.default_run.as_ref().and_then(called) {
            Some(program) => Ok(Some(program)),
            None => {
                fail(format!("the package `{}` has several programs; choose one with --bin: {}", package.name, names()))
            }
        },
    }
}

/// The allocators in the sources of a target. The sources of the package's other targets are left out.
pub(crate) fn findings(package: &Package, target: &Target) -> Findings {
    let others = package.targets.iter().filter(|other| other.src_path != target.src_path).map(|other| {
        let theirs = sources(other);
        // In a folder that both share, only the other's root file is certain not to belong to this target.
        if target.src_path.starts_with(theirs) { other.src_path.clone().into_std_path_buf() } else { theirs.to_owned() }
    });
    Findings::of(sources(target), &others.collect::<Vec<_>>())
}

/// The folder of a target's sources if its root is `main.rs` or `lib.rs`; otherwise its root file.
fn sources(target: &Target) -> &Path {
    let file = target.src_path.as_std_path();
    let own_folder = matches!(file.file_name().and_then(|name| name.to_str()), Some("main.rs" | "lib.rs"));
    if own_folder { file.parent().unwrap_or(file) } else { file }
}

impl Project {
    /// The selected package. Its invocation is looked for in the program that is named, or in all if none is, and then
    /// in the package's library.
    pub(crate) fn find(selection: &Selection) -> Outcome<Self> {
        let metadata = metadata(selection)?;
        let package = choose_package(&metadata, selection)?;
        let target_directory = metadata.target_directory.into_std_path_buf();
        let named = selection.bin.is_some() || selection.example.is_some();
        let chosen = if named { program(&package, selection)? } else { None };
        let programs = package.targets.iter().filter(|target| !named && target.is_bin());
        let libraries = package.targets.iter().filter(|target| target.is_lib());
        let targets = chosen.into_iter().chain(programs).chain(libraries);
        let mut found = targets.filter_map(|target| findings(&package, target).invocation().cloned());
        let Some(invocation) = found.next() else {
            let program = chosen.map_or_else(String::new, |program| format!("program `{}` of the ", program.name));
            return fail(format!(
                "the {program}package `{}` does not call `hakmem::allocator!` (`cargo hakmem init` adds it)",
                package.name
            ));
        };
        drop(found);
        Ok(Self { selection: selection.clone(), package, target_directory, invocation })
    }

    /// The folder of its manifest.
    pub(crate) fn folder(&self) -> &Path {
        self.package.manifest_path.parent().map_or(Path::new("."), |folder| folder.as_std_path())
    }

    /// The folder in the target directory for everything that the commands make.
    pub(crate) fn output(&self) -> PathBuf {
        self.target_directory.join("hakmem")
    }

    /// The file of the spec, unless it is the default or inline.
    pub(crate) fn spec_file(&self) -> Option<PathBuf> {
        match &self.invocation.spec {
            SpecAt::File(name) => Some(self.folder().join(name)),
            _ => None,
        }
    }

    /// The spec that the macro reads.
    pub(crate) fn spec(&self) -> Outcome<LoadedSpec> {
        match &self.invocation.spec {
            SpecAt::Default => LoadedSpec::new(Source::default_spec()),
            SpecAt::File(name) => {
                let path = self.folder().join(name);
                let text = files::read("the spec", &path)?;
                LoadedSpec::new(Source::file(name, text))
            }
            SpecAt::Inline { range, line, column } => {
                let file = &self.invocation.file;
                let text = files::read("the program", file)?;
                let inside = text.get(range.clone()).unwrap_or_default();
                LoadedSpec::new(Source::inline(file.display().to_string(), inside, *line, *column))
            }
        }
    }

    /// The name of the generated module in symbols.
    pub(crate) fn module(&self) -> String {
        let mut snake = String::from("__hakmem_");
        for (position, letter) in self.invocation.name.trim_start_matches("r#").chars().enumerate() {
            if letter.is_uppercase() && position > 0 {
                snake.push('_');
            }
            snake.extend(letter.to_lowercase());
        }
        snake
    }

    /// Builds the program with a cfg of hakmem and with its symbols, whatever the profile says. The target directory is
    /// another than the user's, so that the user's builds stay up to date.
    ///
    /// A cfg reaches hakmem wherever it is in the graph of dependencies, for this build and no other. (A feature would
    /// be unified over all packages that are built together, and stay on in a manifest that names it.)
    pub(crate) fn build(&self, build: &Build, cfg: &str) -> Outcome<PathBuf> {
        let Some(program) = program(&self.package, &self.selection)? else {
            return fail(format!("the package `{}` has no program; choose one with --example", self.package.name));
        };
        let flags = rustflags::with_cfg(cargo(), &self.output().join("rustflags"), cfg)?;
        let mut command = cargo();
        command.env(rustflags::ENCODED, flags);
        command.args(["build", "--message-format=json-render-diagnostics", "--manifest-path"]);
        command.arg(&self.package.manifest_path).args(["--profile", &build.profile]);
        command.arg(if program.is_example() { "--example" } else { "--bin" }).arg(&program.name);
        command.arg("--target-dir").arg(self.output().join("build"));
        command.args(build.features.iter().flat_map(|features| ["--features", features]));
        command.args(build.all_features.then_some("--all-features"));
        command.args(build.no_default_features.then_some("--no-default-features"));
        command.env(format!("CARGO_PROFILE_{}_STRIP", build.profile.to_uppercase().replace('-', "_")), "none");
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return fail(format!("the package `{}` does not build with `--cfg {cfg}`", self.package.name));
        }
        for message in Message::parse_stream(&*output.stdout) {
            if let Message::CompilerArtifact(artifact) = message?
                && artifact.target == *program
                && let Some(path) = artifact.executable
            {
                return Ok(path.into_std_path_buf());
            }
        }
        fail(format!("cargo built no program `{}`", program.name))
    }
}

/// The cargo that called this command.
fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
