//! What stood in the spec before it was tuned, in comments of the tuned one.
//!
//! An entry that tuning replaces stays in the text, each line behind a mark:
//!
//! ```toml
//! # tune: in the place of
//! # tune:   [[class]]
//! # tune:   sizes = { from = 8, to = 128, step = 8 }
//! # tune: chosen for the profile
//! [[class]]
//! sizes = [24, 40]
//! ```
//!
//! The next time it begins from there again: what an earlier profile asked for leaves no trace in what a later one gets.

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table};

use crate::failure::{Outcome, fail};

/// What all comments of tuning begin with.
const MARK: &str = "# tune:";
/// The same before a line of an entry that was replaced.
const LINE: &str = "# tune:   ";
/// What such an entry begins with.
const HEADER: &str = "[[class]]";

/// The text in front of an entry, or behind the last one.
#[derive(Debug, Default)]
pub(super) struct Prefix {
    /// Entries that were replaced, with the user's comments in front of each.
    pub(super) replaced: Vec<Table>,
    /// The user's comments behind those.
    pub(super) rest: String,
    /// Whether a comment of tuning is in it.
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

/// An entry from its text, with comments in front of it.
fn entry(text: &str, comments: &str) -> Outcome<Table> {
    let classes = text.parse::<DocumentMut>().ok().and_then(|mut document| document.remove("class"));
    let table = classes.and_then(|classes| classes.into_array_of_tables().ok()?.into_iter().next());
    let Some(mut table) = table else {
        return fail(format!(
            "what stood in the spec before it was tuned cannot be read: {text:?} (without any lines that begin with \
             `{MARK}` the spec counts as it is)"
        ));
    };
    table.decor_mut().set_prefix(comments);
    Ok(table)
}

/// The comments in front of an entry, and the space in front of its first bracket.
pub(super) fn comments_and_indent(table: &Table) -> (&str, &str) {
    let prefix = table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
    prefix.split_at(prefix.rfind('\n').map_or(0, |newline| newline + 1))
}

/// An entry that is replaced, as comments: the user's own, and the entry behind marks.
pub(super) fn keep(table: &Table) -> String {
    let (comments, indent) = comments_and_indent(table);
    let mut plain = table.clone();
    plain.decor_mut().set_prefix("");
    let mut document = DocumentMut::new();
    document.insert("class", Item::ArrayOfTables(ArrayOfTables::from_iter([plain])));
    let text = document.to_string();
    let lines = text.lines().filter(|line| !line.trim().is_empty()).map(|line| format!("{indent}{LINE}{line}\n"));
    format!("{comments}{}{}", remark(indent, "in the place of"), lines.collect::<String>())
}

/// A line that is replaced, as a comment.
pub(super) fn keep_line(indent: &str, line: &str) -> String {
    format!("{}{indent}{LINE}{line}\n", remark(indent, "in the place of"))
}

/// Comments without those of tuning; the lines that were replaced; and whether there was a comment of tuning at all.
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
