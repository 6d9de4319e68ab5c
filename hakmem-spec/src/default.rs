//! The spec in force where the user gives none.

/// What messages call it.
pub(crate) const NAME: &str = "hakmem's default classes.toml";

/// The workspace's `classes.toml`: `default.toml` is a link to it, so that there is one text, and `cargo package`
/// puts the file itself in the archive.
pub(crate) const TEXT: &str = include_str!("../default.toml");
