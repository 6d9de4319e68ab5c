//! The flags that cargo passes to rustc here, so that one can be added and none is lost.
//!
//! Cargo reads them from one of `CARGO_ENCODED_RUSTFLAGS`, `RUSTFLAGS`, `target.*.rustflags` and `build.rustflags`: the
//! first that is set hides the others. Which one that is depends on the environment, every `config.toml` on the way up
//! and the target's cfgs. Cargo tells the outcome to build scripts (as `CARGO_ENCODED_RUSTFLAGS`), so an empty package
//! is checked whose build script prints it.

use std::path::Path;
use std::process::{Command, Stdio};

use cargo_metadata::Message;

use crate::failure::{Outcome, fail};
use crate::files;

/// The variable with flags between [`SEPARATOR`]s. It hides every other source of flags.
pub(crate) const ENCODED: &str = "CARGO_ENCODED_RUSTFLAGS";

const SEPARATOR: char = '\x1f';

/// The empty package. `[workspace]` keeps it out of the workspace whose target directory it is in.
const FILES: [(&str, &str); 3] = [
    (
        "Cargo.toml",
        "[package]\nname = \"hakmem-rustflags\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n[workspace]\n",
    ),
    ("src/lib.rs", "#![no_std]\n"),
    (
        "build.rs",
        r#"fn main() {
    // There is no such file, so the script runs each time.
    println!("cargo::rerun-if-changed=absent");
    println!("cargo::rustc-env=RUSTFLAGS_IN_FORCE={}", std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default());
}
"#,
    ),
];

/// The flags in force for `cargo` and `--cfg NAME`, as the value of [`ENCODED`]. The empty package is written to
/// `folder`.
pub(crate) fn with_cfg(cargo: Command, folder: &Path, name: &str) -> Outcome<String> {
    let mut flags: Vec<String> = in_force(cargo, folder)?;
    flags.extend(["--cfg".to_owned(), name.to_owned()]);
    Ok(flags.join(&SEPARATOR.to_string()))
}

fn in_force(mut cargo: Command, folder: &Path) -> Outcome<Vec<String>> {
    for (name, text) in FILES {
        let file = folder.join(name);
        std::fs::create_dir_all(file.parent().unwrap_or(folder))?;
        // A file that is there stays, so that cargo compiles the script once.
        if std::fs::read_to_string(&file).ok().as_deref() != Some(text) {
            files::write("the empty package", &file, text)?;
        }
    }
    cargo.args(["check", "--quiet", "--offline", "--message-format=json-render-diagnostics"]);
    cargo.arg("--manifest-path").arg(folder.join("Cargo.toml")).arg("--target-dir").arg(folder.join("target"));
    let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    for message in Message::parse_stream(&*output.stdout) {
        if let Message::BuildScriptExecuted(script) = message?
            && let Some((_, flags)) = script.env.iter().find(|(name, _)| name == "RUSTFLAGS_IN_FORCE")
        {
            return Ok(flags.split(SEPARATOR).filter(|flag| !flag.is_empty()).map(str::to_owned).collect());
        }
    }
    fail(format!("cannot find out which flags cargo passes to rustc: {} does not build", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The flags in force under `.cargo/config.toml` and these variables.
    fn flags(name: &str, config: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let here = std::env::temp_dir().join(format!("hakmem-rustflags-{}-{name}", std::process::id()));
        std::fs::create_dir_all(here.join(".cargo")).unwrap();
        std::fs::write(here.join(".cargo/config.toml"), config).unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(&here);
        for variable in [ENCODED, "RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"] {
            cargo.env_remove(variable);
        }
        cargo.envs(variables.iter().copied());
        let encoded = with_cfg(cargo, &here.join("probe"), "added").unwrap();
        std::fs::remove_dir_all(&here).unwrap();
        encoded.split(SEPARATOR).map(str::to_owned).collect()
    }

    const BUILD: &str = "[build]\nrustflags = \"--cfg build\"\n";
    const TARGET: &str = "[target.'cfg(all())']\nrustflags = [\"--cfg\", \"target=\\\"a b\\\"\"]\n";

    #[test]
    fn a_cfg_is_added_to_the_flags_of_each_source() {
        assert_eq!(flags("none", "", &[]), ["--cfg", "added"]);
        assert_eq!(flags("build", BUILD, &[]), ["--cfg", "build", "--cfg", "added"]);
        assert_eq!(
            flags("both", BUILD, &[("CARGO_BUILD_RUSTFLAGS", "--cfg more")]),
            ["--cfg", "build", "--cfg", "more", "--cfg", "added"]
        );
        let target = format!("{BUILD}{TARGET}");
        assert_eq!(flags("target", &target, &[]), ["--cfg", "target=\"a b\"", "--cfg", "added"]);
        assert_eq!(flags("plain", &target, &[("RUSTFLAGS", "--cfg plain")]), ["--cfg", "plain", "--cfg", "added"]);
        assert_eq!(
            flags("encoded", &target, &[("RUSTFLAGS", "--cfg plain"), (ENCODED, "--cfg\x1fencoded=\"a b\"")]),
            ["--cfg", "encoded=\"a b\"", "--cfg", "added"]
        );
    }
}
