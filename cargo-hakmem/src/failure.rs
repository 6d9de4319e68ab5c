//! Output of commands: lines on standard output, notes and failures on standard error.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use hakmem_spec::{Diagnostic, Source};

/// The message of a command that failed.
#[derive(Debug)]
pub(crate) struct Failure(String);

/// The result of a command, or of a step of one.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// Prints a line. Unlike `println!`, it does not panic when the reader of a pipe has closed it (`| head`).
macro_rules! say {
    ($($text:tt)*) => {
        _ = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{}\n", format_args!($($text)*)))
    };
}
pub(crate) use say;

/// Prints a note on standard error.
pub(crate) fn note(message: &str) {
    _ = writeln!(io::stderr(), "note: {message}");
}

/// A failure with a message.
pub(crate) fn fail<T>(message: impl Into<String>) -> Outcome<T> {
    Err(Failure(message.into()))
}

impl Failure {
    /// The failure of a spec that is not valid.
    pub(crate) fn of_spec(source: &Source, errors: &[Diagnostic]) -> Self {
        let errors: Vec<String> = errors.iter().map(|error| error.render(source)).collect();
        Self(errors.join("\n\n"))
    }

    /// Prints it on standard error. Unlike `eprintln!`, it does not panic when standard error is closed.
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
