//! Errors, and how they are shown.

use std::fmt::Write as _;
use std::ops::Range;

use crate::source::Source;

/// One error in a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, as a rule that was broken.
    pub message: String,
    /// What it is about the underlined text that breaks it.
    pub label: String,
    /// What would be right.
    pub help: Option<String>,
    /// The bytes of the source to underline.
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

    /// The error as rustc shows one, without the leading `error:` and without a final newline.
    ///
    /// Rustc prints a message of several lines as it is, and editors make the `-->` line a link. Of a span of several
    /// lines only the first is shown.
    pub fn render(&self, source: &Source) -> String {
        let line = source.line_at(self.span.start);
        let text = &source.text[line.clone()];
        let start = source.text.floor_char_boundary(self.span.start.min(line.end));
        let end = source.text.floor_char_boundary(self.span.end.clamp(start, line.end));
        // A tab stays a tab, so that the carets stand under the text whatever a terminal makes of it.
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
    /// Adds an error, unless the same one is there: a wrong default is met again by each class that inherits it, and a
    /// wrong range by each of its members.
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

    /// The value, or the errors in the order of the text. Without a value there is an error.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Result<T, Vec<Diagnostic>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => {
                debug_assert!(!self.0.is_empty(), "a spec was refused without a reason");
                self.0.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.span.end));
                Err(self.0)
            }
        }
    }
}
