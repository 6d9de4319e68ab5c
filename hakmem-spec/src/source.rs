//! The text of a spec and where it came from.

/// A spec's text, with what is needed to name a place in it to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The path to show, as the user wrote it.
    pub name: String,
    /// The TOML.
    pub text: String,
    /// The line of `name` on which the text begins: 1 for a file, more for a spec written inside a `.rs` file.
    pub first_line: usize,
    /// The column of `name` at which the text begins: 1 for a file.
    pub first_column: usize,
}

/// A place in a source as editors count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Source {
    /// A spec that is a file of its own.
    pub fn file(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::inline(name, text, 1, 1)
    }

    /// A spec written inside another file, whose first character stands at the given line and column of it.
    pub fn inline(name: impl Into<String>, text: impl Into<String>, first_line: usize, first_column: usize) -> Self {
        Self { name: name.into(), text: text.into(), first_line, first_column }
    }

    /// The spec in force where the user gives none.
    pub fn default_spec() -> Self {
        Self::file(crate::default::NAME, crate::default::TEXT)
    }

    /// The place of a byte of the text; one past the end is the end.
    pub fn position(&self, offset: usize) -> Position {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        // Only the first line of an inline spec shares its line with what stands in front of it.
        let shift = if line_start == 0 { self.first_column } else { 1 };
        Position {
            line: self.first_line + before.matches('\n').count(),
            column: shift + before[line_start..].chars().count(),
        }
    }

    /// The byte range of the line that holds a byte, without its line ending.
    pub(crate) fn line_at(&self, offset: usize) -> std::ops::Range<usize> {
        let offset = self.text.floor_char_boundary(offset);
        let start = self.text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.text[offset..].find('\n').map_or(self.text.len(), |length| offset + length);
        start..start + self.text[start..end].trim_end_matches('\r').len()
    }
}
