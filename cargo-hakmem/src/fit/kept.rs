//! The entries that tuning replaced, kept as comments in the tuned spec.
//!
//! An entry that is replaced stays in the text, each line after a mark:
//!
//! ```toml
//! # tune: replaces
//! # tune:   [[class]]
//! # tune:   sizes = { from = 8, to = 128, step = 8 }
//! # tune: chosen for the profile
//! [[class]]
//! sizes = [24, 40]
//! ```
//!
//! The next tuning starts from these entries, so its result does not depend on earlier profiles.

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table};

use crate::failure::{Outcome, fail};

/// The start of every comment that tuning writes.
const MARK: &str = "# tune:";
/// The start of a comment with a line of a replaced entry.
const LINE: &str = "# tune:   ";
/// The first line of an entry.
const HEADER: &str = "[[class]]";

/// The text before an entry, or after the last one.
#[derive(Debug, Default)]
pub(super) struct Prefix {
    /// Replaced entries, each with the user's comments before it.
    pub(super) replaced: Vec<Table>,
    /// The user's comments after those.
    pub(super) rest: String,
    /// Whether it contains a comment of tuning.
    pub(super) marked: bool,
}

impl Prefix {
    pub(super) fn read(text: &str) -> Outcome<Self> {
        let mut prefix = Self::default();
        let mut replaced: Vec<(String, String)> = Vec::new();
        for line in text.split_inclusive('\n') {
            let indented = line.trim_start();
            prefix.marked |= indented.starts_with(MARK);
            if let Some(kept) = indented.strip_prefix(LINE) {
                if kept.starts_with(HEADER) {
                    let indent = &line[..line.len() - indented.len()];
                    replaced.push((std::mem::take(&mut prefix.rest) + indent, String::new()));
                }
                if let Some((_, entry)) = replaced.last_mut() {
                    *entry += kept;
                }
            } else if !indented.starts_with(MARK) {
                prefix.rest += line;
            }
        }
        for (comments, text) in replaced {
            prefix.replaced.push(entry(&text, &comments)?);
        }
        Ok(prefix)
    }
}

/// Parses a replaced entry; `comments` stand before it.
fn entry(text: &str, comments: &str) -> Outcome<Table> {
    let classes = text.parse::<DocumentMut>().ok().and_then(|mut document| document.remove("class"));
    let table = classes.and_then(|classes| classes.into_array_of_tables().ok()?.into_iter().next());
    let Some(mut table) = table else {
        return fail(format!(
            "an entry that was replaced by tuning cannot be read: {text:?} (remove all lines that begin with `{MARK}` to \
             tune the spec as it is)"
        ));
    };
    table.decor_mut().set_prefix(comments);
    Ok(table)
}

/// The comments before an entry, and the indent of its first line.
pub(super) fn comments_and_indent(table: &Table) -> (&str, &str) {
    let prefix = table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
    prefix.split_at(prefix.rfind('\n').map_or(0, |newline| newline + 1))
}

/// A replaced entry as comments: the user's comments, then the marked lines of the entry.
pub(super) fn keep(table: &Table) -> String {
    let (comments, indent) = comments_and_indent(table);
    let mut plain = table.clone();
    plain.decor_mut().set_prefix("");
    let mut document = DocumentMut::new();
    document.insert("class", Item::ArrayOfTables(ArrayOfTables::from_iter([plain])));
    let text = document.to_string();
    let lines = text.lines().filter(|line| !line.trim().is_empty()).map(|line| format!("{indent}{LINE}{line}\n"));
    format!("{comments}{}{}", remark(indent, "replaces"), lines.collect::<String>())
}

/// A replaced line as a comment.
pub(super) fn keep_line(indent: &str, line: &str) -> String {
    format!("{}{indent}{LINE}{line}\n", remark(indent, "replaces"))
}

/// Splits comments: those of the user, the replaced lines, and whether tuning wrote any.
pub(super) fn split(text: &str) -> (String, String, bool) {
    let is_mark = |line: &&str| line.trim_start().starts_with(MARK);
    let (marks, rest): (Vec<&str>, Vec<&str>) = text.split_inclusive('\n').partition(is_mark);
    let lines = marks.iter().filter_map(|line| line.trim_start().strip_prefix(LINE));
    (rest.concat(), lines.collect(), !marks.is_empty())
}

/// A comment of tuning.
pub(super) fn remark(indent: &str, text: &str) -> String {
    format!("{indent}{MARK} {text}\n")
}
