//! Large blocks: what no class holds.

mod exact_cache;
mod extent_cache;
mod extents;

pub use exact_cache::ExactCache;
pub use extents::Extents;
