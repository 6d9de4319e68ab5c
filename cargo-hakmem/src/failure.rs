//! What a command says: its lines, or the one message of its failure and the exit code.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use hakmem_spec::{Diagnostic, Source};

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure(String);

/// What a command, or a step of one, returns.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// Prints a line. Whoever stops reading (`| head`) wants no more of it: that is no failure, and no panic as with `println!`.
macro_rules! say {
    ($($text:tt)*) => {
        _ = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{}\n", format_args!($($text)*)))
    };
}
pub(crate) use say;

/// Says on standard error what is worth knowing, but no failure.
pub(crate) fn note(message: &str) {
    _ = writeln!(io::stderr(), "note: {message}");
}

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
