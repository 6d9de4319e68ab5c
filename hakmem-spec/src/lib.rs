//! The spec of a hakmem allocator: the parser of `classes.toml`, its validated model, and the plan made from it.
//!
//! ```text
//! Source ──raw──▶ spanned syntax tree ──validate──▶ Spec ──Plan::new──▶ groups, classes, size tables
//!                          └──────── Vec<Diagnostic> ────────┘
//! ```
//!
//! The procedural macro generates code from a [`Spec`] and its [`Plan`]. This crate does not depend on a token
//! representation, so the command-line tool uses the same parser and prints the same messages.
//!
//! ```
//! let source = hakmem_spec::Source::file("classes.toml", "[[class]]\nsize = 20\n");
//! let errors = hakmem_spec::parse(&source).unwrap_err();
//! assert!(errors[0].render(&source).starts_with("a class size must be a multiple of 8\n --> classes.toml:2:8\n"));
//! ```

#![forbid(unsafe_code)]

mod classes;
mod default;
mod diagnostic;
mod layers;
mod model;
mod plan;
mod policy;
mod raw;
mod read;
mod shape;
mod sizes;
mod source;
mod suggest;
mod table;
mod units;
mod validate;

pub use diagnostic::Diagnostic;
pub use layers::{Arguments, Array, LAYERS, LayerKind, Parameter, SizedDefault, Unit};
pub use model::{
    Background, Budget, Class, Free, Geometry, Header, Large, LayerUse, MAX_ALIGN, MAX_CLASSES, MEDIUM_GRAIN, Purge,
    Refill, SMALL_GRAIN, SMALL_MAX, SlabShape, Spec, Tls,
};
pub use plan::{ALIGNMENTS, Group, NO_CLASS, Plan, PlannedClass, SizeTable};
pub use source::{Position, Source};
pub use table::table;
pub use units::{UnitError, format_bytes, parse_bytes};

use diagnostic::Diagnostics;

/// Parses and validates a spec.
///
/// Reports every error that is not a mere consequence of another, in the order of the text. A text that is not TOML
/// yields its syntax errors only: checking what the TOML parser recovered would report errors that are not there.
pub fn parse(source: &Source) -> Result<Spec, Vec<Diagnostic>> {
    parse_with(source, LAYERS)
}

/// [`parse`] with another catalogue of layers: the tests use it to show that nothing but the catalogue names a layer.
fn parse_with(source: &Source, catalogue: &'static [LayerKind]) -> Result<Spec, Vec<Diagnostic>> {
    let mut diagnostics = Diagnostics::default();
    let spec = raw::read(source, catalogue, &mut diagnostics)
        .and_then(|raw| validate::validate(&raw, source, catalogue, &mut diagnostics));
    diagnostics.finish(spec)
}

#[cfg(test)]
mod catalogue_tests;
