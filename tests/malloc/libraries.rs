//! Libraries with an allocator in them, which tests build.

use crate::cargo::{cargo, project, write};
use std::path::PathBuf;

/// Builds a library of each source, under its name, in the project `name`. Returns the folder with them.
pub(crate) fn libraries(name: &str, sources: &[(&str, String)], release: bool) -> PathBuf {
    let mut manifest = String::from("\n[lib]\npath = \"src/lib.rs\"\n");
    for (name, _) in sources {
        let example =
            format!("\n[[example]]\nname = \"{name}\"\npath = \"src/{name}.rs\"\ncrate-type = [\"cdylib\"]\n");
        manifest.push_str(&example);
    }
    let folder = project(name, "2024", "hakmem", &manifest);
    for (name, source) in sources {
        write(&folder, &format!("src/{name}.rs"), source);
    }
    write(&folder, "src/lib.rs", "");
    let profile = if release { "release" } else { "dev" };
    let mut build = cargo("build", &folder, &folder.join("target"));
    let status = build.args(["--examples", "--profile", profile]).status();
    assert!(status.expect("cargo runs").success(), "the libraries do not build");
    folder.join("target").join(if release { "release" } else { "debug" }).join("examples")
}
