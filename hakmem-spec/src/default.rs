//! The built-in spec, used where `hakmem::allocator!` names no other.

/// Its name in messages.
pub(crate) const NAME: &str = "hakmem's default classes.toml";

/// The workspace's `classes.toml`. `default.toml` is a symbolic link to it, in whose place `cargo package` puts the
/// file.
pub(crate) const TEXT: &str = include_str!("../default.toml");
