//! The one message that a failed command leaves, and its exit code.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use hakmem_spec::{Diagnostic, Source};

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure(String);

/// What a command, or a step of one, returns.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// A failure with a message, as an error.
pub(crate) fn fail<T>(message: impl Into<String>) -> Outcome<T> {
    Err(Failure(message.into()))
}

impl Failure {
    /// A spec that its parser refused.
    pub(crate) fn of_spec(source: &Source, errors: &[Diagnostic]) -> Self {
        let errors: Vec<String> = errors.iter().map(|error| error.render(source)).collect();
        Self(errors.join("\n\n"))
    }

    /// Says it on standard error. Not by `eprintln!`, which panics when that is closed.
    pub(crate) fn report(&self) -> ExitCode {
        let _ = writeln!(io::stderr(), "error: {self}");
        ExitCode::FAILURE
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        // Some errors end their message with a line break.
        Self(error.to_string().trim_end().to_owned())
    }
}

/// An operation on a file, with its name in the message.
pub(crate) fn on_file<T>(what: &str, path: impl AsRef<std::path::Path>, result: io::Result<T>) -> Outcome<T> {
    result.or_else(|error| fail(format!("cannot {what} {}: {error}", path.as_ref().display())))
}
