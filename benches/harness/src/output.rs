//! Files that are written, and how a program ends.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};

/// The target directory that this program was built in: the parent of `release` or `debug`.
pub fn target() -> Result<PathBuf, String> {
    let program = env::current_exe().map_err(|error| format!("where is this program? {error}"))?;
    let found = target_of(&program);
    found.map(Path::to_owned).ok_or_else(|| format!("{} is in no target directory", program.display()))
}

fn target_of(program: &Path) -> Option<&Path> {
    let folder = program.parent()?;
    if folder.ends_with("examples") { folder.parent()?.parent() } else { folder.parent() }
}

/// A file to be written.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Output {
    /// Creates a file, and the folder that it is in.
    pub fn create(path: &Path) -> Result<Output, String> {
        let create = || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            File::create(path)
        };
        let file = create().map_err(|error| cannot_write(path, &error))?;
        Ok(Output { path: path.to_owned(), file: BufWriter::new(file) })
    }

    /// Writes all of its content.
    pub fn write(mut self, content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<(), String> {
        let written = content(&mut self.file).and_then(|()| self.file.flush());
        written.map_err(|error| cannot_write(&self.path, &error))
    }
}

/// Creates a file and writes its content.
pub fn save(path: &Path, content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<(), String> {
    Output::create(path)?.write(content)
}

fn cannot_write(path: &Path, error: &io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}

/// Prints on stdout.
pub fn print(text: &str) -> Result<(), String> {
    print_with(|out| out.write_all(text.as_bytes()))
}

/// Prints on stdout what `text` writes. If the reader has closed it, as in `stacks | head`, the program ends with
/// success.
pub fn print_with(text: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Result<(), String> {
    let mut buffer = Vec::new();
    match text(&mut buffer).and_then(|()| io::stdout().lock().write_all(&buffer)) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => process::exit(0),
        Err(error) => Err(format!("cannot print: {error}")),
    }
}

/// The exit code of a program; an error is printed in one line, after the program's name.
pub fn exit_code(program: &str, outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Not `eprintln!`, which panics when stderr is closed.
            let _ = writeln!(io::stderr(), "{program}: {message}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_directory_is_found_from_any_program() {
        for program in ["/w/target/release/standings", "/w/target/debug/examples/stacks"] {
            assert_eq!(target_of(Path::new(program)), Some(Path::new("/w/target")), "{program}");
        }
    }

    #[test]
    fn a_file_is_written_with_its_folder() {
        let folder = env::temp_dir().join(format!("hakmem-harness-{}", process::id()));
        let path = folder.join("new").join("file");
        save(&path, |file| file.write_all(b"text")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"text");
        let message = save(&path.join("below a file"), |_| Ok(())).unwrap_err();
        assert!(message.starts_with("cannot write "), "{message}");
        fs::remove_dir_all(folder).unwrap();
    }
}
