//! Reading and writing files, with error messages that name them.

use std::io::Write as _;
use std::path::Path;

use crate::failure::{Outcome, fail};

/// Reads a text file, called `what` in messages.
pub(crate) fn read(what: &str, path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).or_else(|error| fail(format!("cannot read {what} {}: {error}", path.display())))
}

/// Writes a file atomically: writes a new file beside it, and renames that.
pub(crate) fn write(what: &str, path: &Path, text: &str) -> Outcome<()> {
    // A symbolic link stays one: the file that it points to is replaced.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    // A terminal, a pipe and the like cannot be replaced.
    let special = path.metadata().is_ok_and(|metadata| !metadata.is_file());
    let result = if special { std::fs::write(&path, text) } else { replace(&path, text) };
    result.or_else(|error| fail(format!("cannot write {what} {}: {error}", path.display())))
}

fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let result = fill(&new, path, text).and_then(|()| std::fs::rename(&new, path));
    if result.is_err() {
        _ = std::fs::remove_file(&new);
    }
    result
}

fn fill(new: &Path, old: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::create(new)?;
    if let Ok(metadata) = old.metadata() {
        file.set_permissions(metadata.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = std::env::temp_dir().join(format!("hakmem-files-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (file, link) = (folder.join("a.toml"), folder.join("link.toml"));
        write("the spec", &file, "one").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write("the spec", &link, "two").unwrap();
        assert_eq!(read("the spec", &file).unwrap(), "two");
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
        let failure = write("the spec", &folder.join("absent/a.toml"), "three").unwrap_err().to_string();
        assert!(failure.starts_with("cannot write the spec ") && failure.contains("absent/a.toml"), "{failure}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
