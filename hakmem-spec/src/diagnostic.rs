//! Errors in a spec, rendered as rustc renders its own.

use std::fmt::Write as _;
use std::ops::Range;

use crate::source::Source;

/// One error in a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The rule that is broken.
    pub message: String,
    /// How the underlined text breaks it.
    pub label: String,
    /// How to fix it.
    pub help: Option<String>,
    /// The bytes of the source that are underlined.
    pub span: Range<usize>,
}

impl Diagnostic {
    pub(crate) fn new(
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { message: message.into(), label: label.into(), help: Some(help.into()), span }
    }

    /// The error in rustc's format, without the leading `error:` and without a final newline.
    ///
    /// Rustc prints a `compile_error!` message of several lines unchanged, and editors turn the `-->` line into a link.
    /// Only the first line of a span is shown.
    pub fn render(&self, source: &Source) -> String {
        let line = source.line_at(self.span.start);
        let text = &source.text[line.clone()];
        let start = source.text.floor_char_boundary(self.span.start.min(line.end));
        let end = source.text.floor_char_boundary(self.span.end.clamp(start, line.end));
        // Tabs are kept, so that the carets are aligned with the text at any tab width.
        let indent: String = text[..start - line.start].chars().map(|c| if c == '\t' { c } else { ' ' }).collect();
        let carets = "^".repeat(source.text[start..end].chars().count().max(1));

        let place = source.position(start);
        let number = place.line.to_string();
        let gutter = " ".repeat(number.len());
        let mut out = format!(
            "{message}\n{gutter}--> {name}:{number}:{column}\n{gutter} |\n{shown}\n{gutter} | {indent}{carets}",
            message = self.message,
            name = source.name,
            column = place.column,
            shown = format!("{number} | {text}").trim_end(),
        );
        if !self.label.is_empty() {
            let _ = write!(out, " {}", self.label);
        }
        if let Some(help) = &self.help {
            let _ = write!(out, "\n{gutter} |\n{gutter} = help: {help}");
        }
        out
    }
}

/// The errors found so far.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Adds an error unless it was reported before: each class that inherits a wrong default, and each member of a
    /// wrong range, would report it again.
    pub(crate) fn push(&mut self, new: Diagnostic) {
        if !self.0.iter().any(|old| old.span == new.span && old.message == new.message) {
            self.0.push(new);
        }
    }

    /// Adds an error.
    pub(crate) fn error(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Diagnostic::new(span, message, label, help));
    }

    /// The value, or the errors in the order of the text. Where there is no value, an error must have been reported.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Result<T, Vec<Diagnostic>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => {
                debug_assert!(!self.0.is_empty(), "a spec was rejected without an error");
                self.0.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.span.end));
                Err(self.0)
            }
        }
    }
}
