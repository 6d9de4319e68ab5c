//! The text of a spec, and its position in a file.

/// A spec's text, with the file name and the position that messages show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The path as the user wrote it.
    pub name: String,
    /// The TOML.
    pub text: String,
    /// The line of `name` on which the text begins: 1 for a file, more for a spec written inside a `.rs` file.
    pub first_line: usize,
    /// The column of `name` at which the text begins: 1 for a file.
    pub first_column: usize,
}

/// A position in a source, counted as editors do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Source {
    /// A spec in a file of its own.
    pub fn file(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::inline(name, text, 1, 1)
    }

    /// A spec written inside another file, which begins at the given line and column of it.
    pub fn inline(name: impl Into<String>, text: impl Into<String>, first_line: usize, first_column: usize) -> Self {
        Self { name: name.into(), text: text.into(), first_line, first_column }
    }

    /// The built-in spec, used where `hakmem::allocator!` names no other.
    pub fn default_spec() -> Self {
        Self::file(crate::default::NAME, crate::default::TEXT)
    }

    /// The position of a byte of the text; an offset past the end counts as the end.
    pub fn position(&self, offset: usize) -> Position {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        // The first line of an inline spec begins in the middle of a line of its file.
        let shift = if line_start == 0 { self.first_column } else { 1 };
        Position {
            line: self.first_line + before.matches('\n').count(),
            column: shift + before[line_start..].chars().count(),
        }
    }

    /// The byte range of the line that contains an offset, without the line ending.
    pub(crate) fn line_at(&self, offset: usize) -> std::ops::Range<usize> {
        let offset = self.text.floor_char_boundary(offset);
        let start = self.text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.text[offset..].find('\n').map_or(self.text.len(), |length| offset + length);
        start..start + self.text[start..end].trim_end_matches('\r').len()
    }
}
