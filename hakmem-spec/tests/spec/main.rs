//! Tests of the public interface, in one binary.

mod catalogue;
mod errors;
mod model;
mod plan;
mod random;
mod render;
mod robust;

use hakmem_spec::{LAYERS, Source, Spec, parse};

/// The model of a valid spec.
#[track_caller]
fn spec(text: &str) -> Spec {
    let source = Source::file("classes.toml", text);
    parse(&source).unwrap_or_else(|errors| {
        panic!("{}", errors.iter().map(|error| error.render(&source)).collect::<Vec<_>>().join("\n\n"))
    })
}

/// The errors of an invalid spec, rendered.
#[track_caller]
fn errors(text: &str) -> Vec<String> {
    let source = Source::file("classes.toml", text);
    parse(&source).expect_err("the spec should be invalid").iter().map(|error| error.render(&source)).collect()
}

/// Asserts that the errors of `text` are rendered as `expected`. `ALL_LAYERS` stands for the names in the catalogue, so
/// that a new layer changes no test.
#[track_caller]
fn assert_error(text: &str, expected: &str) {
    let layers: Vec<String> = LAYERS.iter().map(|layer| format!("`{}`", layer.name)).collect();
    let expected = expected.replace("ALL_LAYERS", &layers.join(", "));
    let found = errors(text).join("\n\n");
    assert!(found == expected.trim_matches('\n'), "of\n{text}\nfound:\n{found}\n\nexpected:{expected}");
}
