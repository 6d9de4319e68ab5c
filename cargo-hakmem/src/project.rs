//! The package that invokes the macro: where its spec is, and how it is built.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_metadata::{Message, Metadata, MetadataCommand, Package, Target};
use hakmem_spec::{Source, Spec};

use crate::failure::{Failure, Outcome, fail, on_file};
use crate::invocation::{Findings, Invocation, SpecAt};

/// Which package is meant, and which program of it.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Selection {
    /// The package's Cargo.toml
    #[arg(long, value_name = "PATH")]
    pub(crate) manifest_path: Option<PathBuf>,
    /// The package, where the workspace has several
    #[arg(short, long, value_name = "NAME")]
    pub(crate) package: Option<String>,
    /// The program, where the package has several
    #[arg(long, value_name = "NAME")]
    pub(crate) bin: Option<String>,
    /// The program: one of the examples
    #[arg(long, value_name = "NAME", conflicts_with = "bin")]
    pub(crate) example: Option<String>,
}

/// How a program is built.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Profile {
    /// The cargo profile
    #[arg(long = "cargo-profile", value_name = "NAME", default_value = "release")]
    pub(crate) name: String,
}

/// A package that invokes the macro.
#[derive(Debug)]
pub(crate) struct Project {
    selection: Selection,
    package: Package,
    target_directory: PathBuf,
    /// The call of the macro.
    pub(crate) invocation: Invocation,
}

/// A spec with its text.
#[derive(Debug)]
pub(crate) struct LoadedSpec {
    /// The text, and what messages call it.
    pub(crate) source: Source,
    /// What it says.
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
        let text = on_file("read the spec", path, std::fs::read_to_string(path))?;
        Self::new(Source::file(path.display().to_string(), text))
    }
}

/// The package that is meant, whether it invokes the macro or not, and its workspace's folder.
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
        cargo_metadata::Error::CargoMetadata { stderr } => {
            fail(stderr.trim().trim_start_matches("error: ").lines().next().unwrap_or("cargo metadata failed"))
        }
        error => fail(error.to_string()),
    })
}

fn choose_package(metadata: &Metadata, selection: &Selection) -> Outcome<Package> {
    let names: Vec<String> = metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
    let chosen = match &selection.package {
        Some(name) => metadata.packages.iter().find(|package| package.name.as_str() == name.as_str()),
        None => metadata.root_package().or(match &metadata.workspace_packages()[..] {
            [only] => metadata.packages.iter().find(|package| package.id == only.id),
            _ => None,
        }),
    };
    match (chosen, &selection.package) {
        (Some(package), _) => Ok(package.clone()),
        (None, Some(name)) => fail(format!("the workspace has no package `{name}`, but {}", names.join(", "))),
        (None, None) => fail(format!("the workspace has several packages; choose one with -p: {}", names.join(", "))),
    }
}

/// Whether a target is one of the programs that a selection names; without a name, any program that is no example.
pub(crate) fn is_selected(target: &Target, selection: &Selection) -> bool {
    match (&selection.bin, &selection.example) {
        (Some(name), _) => target.is_bin() && target.name == *name,
        (_, Some(name)) => target.is_example() && target.name == *name,
        (None, None) => target.is_bin(),
    }
}

/// The file or folder with a target's sources: `main.rs` and `lib.rs` have a folder to themselves.
pub(crate) fn sources(target: &Target) -> &Path {
    let file = target.src_path.as_std_path();
    let own_folder = matches!(file.file_name().and_then(|name| name.to_str()), Some("main.rs" | "lib.rs"));
    if own_folder { file.parent().unwrap_or(file) } else { file }
}

impl Project {
    /// The package that is meant. It must invoke the macro.
    pub(crate) fn find(selection: &Selection) -> Outcome<Self> {
        let metadata = metadata(selection)?;
        let package = choose_package(&metadata, selection)?;
        let target_directory = metadata.target_directory.into_std_path_buf();
        let programs: Vec<&Target> = package.targets.iter().filter(|target| is_selected(target, selection)).collect();
        if programs.is_empty()
            && let Some(name) = selection.bin.as_ref().or(selection.example.as_ref())
        {
            return fail(format!("the package `{}` has no program `{name}`", package.name));
        }
        let libraries = package.targets.iter().filter(|target| target.is_lib());
        let places = programs.into_iter().chain(libraries).map(sources);
        let Some(invocation) = places.map(Findings::of).find_map(|found| found.invocation().cloned()) else {
            return fail(format!(
                "the package `{}` does not call `hakmem::allocator!` (`cargo hakmem init` adds it)",
                package.name
            ));
        };
        Ok(Self { selection: selection.clone(), package, target_directory, invocation })
    }

    /// The folder of its manifest.
    pub(crate) fn folder(&self) -> &Path {
        self.package.manifest_path.parent().map_or(Path::new("."), |folder| folder.as_std_path())
    }

    /// Where the commands leave what they make: a folder beside cargo's own.
    pub(crate) fn output(&self) -> PathBuf {
        self.target_directory.join("hakmem")
    }

    /// The file with the spec, if it is one.
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
                let text = on_file("read the spec", &path, std::fs::read_to_string(&path))?;
                LoadedSpec::new(Source::file(name, text))
            }
            SpecAt::Inline { range, line, column } => {
                let file = &self.invocation.file;
                let text = on_file("read", file, std::fs::read_to_string(file))?;
                let inside = text.get(range.clone()).unwrap_or_default();
                LoadedSpec::new(Source::inline(file.display().to_string(), inside, *line, *column))
            }
        }
    }

    /// The generated module, as symbols name it.
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

    /// Builds the program with a feature of hakmem, in a target directory of its own, so that what cargo built for the
    /// user stays what it is. The symbols are kept, whatever the profile says.
    pub(crate) fn build(&self, profile: &Profile, feature: &str) -> Outcome<PathBuf> {
        let feature = self.feature(feature)?;
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["build", "--message-format=json-render-diagnostics", "--manifest-path"]);
        command.arg(&self.package.manifest_path).args(["--profile", &profile.name, "--features", &feature]);
        command.arg("--target-dir").arg(self.output().join("build"));
        match (&self.selection.bin, &self.selection.example) {
            (Some(name), _) => command.args(["--bin", name]),
            (_, Some(name)) => command.args(["--example", name]),
            (None, None) => command.arg("--bins"),
        };
        command.env(format!("CARGO_PROFILE_{}_STRIP", profile.name.to_uppercase().replace('-', "_")), "none");
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return fail(format!("the package `{}` does not build with the feature `{feature}`", self.package.name));
        }
        self.executable(&output.stdout)
    }

    /// hakmem's feature, as this package calls it.
    fn feature(&self, feature: &str) -> Outcome<String> {
        if self.package.name.as_str() == "hakmem" {
            return Ok(feature.to_owned());
        }
        let Some(dependency) = self.package.dependencies.iter().find(|dependency| dependency.name == "hakmem") else {
            return fail(format!("hakmem is not a dependency of the package `{}`", self.package.name));
        };
        Ok(format!("{}/{feature}", dependency.rename.as_ref().unwrap_or(&dependency.name)))
    }

    /// The one program among what cargo built.
    fn executable(&self, messages: &[u8]) -> Outcome<PathBuf> {
        let mut programs = Vec::new();
        for message in Message::parse_stream(messages) {
            if let Message::CompilerArtifact(artifact) = message?
                && artifact.package_id == self.package.id
                && is_selected(&artifact.target, &self.selection)
                && let Some(path) = artifact.executable
            {
                programs.push((artifact.target.name, path.into_std_path_buf()));
            }
        }
        match &programs[..] {
            [(_, path)] => Ok(path.clone()),
            [] => fail(format!("the package `{}` has no program; choose one with --example", self.package.name)),
            several => {
                let names: Vec<&str> = several.iter().map(|(name, _)| &**name).collect();
                fail(format!("choose a program with --bin: {}", names.join(", ")))
            }
        }
    }
}
