//! Loads the text of the spec.

use crate::input::{Input, SpecAt};
use hakmem_spec::Source;
use std::path::Path;

/// A spec's text and where it came from.
pub(crate) struct Found {
    pub(crate) source: Source,
    /// The file whose changes rebuild the crate, relative to the manifest's folder.
    pub(crate) tracked: Option<String>,
}

/// Reads the spec that `input` names.
pub(crate) fn find(input: &Input) -> Result<Found, String> {
    match &input.spec {
        SpecAt::Default => Ok(Found { source: Source::default_spec(), tracked: None }),
        SpecAt::File(literal) => {
            let name = literal.value();
            let folder = std::env::var("CARGO_MANIFEST_DIR").map_err(|_| {
                "CARGO_MANIFEST_DIR is not set: a spec's path is relative to the crate's manifest".to_owned()
            })?;
            let path = Path::new(&folder).join(&name);
            let text = std::fs::read_to_string(&path).map_err(|error| {
                format!(
                    "cannot read the spec {}: {error}\n   = help: the path is relative to the folder of Cargo.toml",
                    path.display()
                )
            })?;
            Ok(Found { source: Source::file(name.clone(), text), tracked: Some(name) })
        }
        SpecAt::Inline(group) => {
            let span = group.span();
            let text = span.source_text().ok_or(
                "the text of this spec is not available (was it written by another macro?); put it into a file and name that",
            )?;
            let inside = text
                .strip_prefix('{')
                .and_then(|text| text.strip_suffix('}'))
                .ok_or("the spec must stand in braces as it is written")?;
            let start = span.start();
            // The text starts after the brace; proc-macro columns count from 0, ours from 1.
            let source = Source::inline(span.file(), inside.to_owned(), start.line, start.column + 2);
            Ok(Found { source, tracked: None })
        }
    }
}
