//! What the tests of this crate share.

use hakmem_spec::{Source, Spec, parse};

/// The model of a text that is in order.
#[allow(dead_code)] // Each test file compiles this module for itself and uses its part.
pub fn spec(text: &str) -> Spec {
    let source = Source::file("classes.toml", text);
    parse(&source).unwrap_or_else(|errors| {
        panic!("{}", errors.iter().map(|error| error.render(&source)).collect::<Vec<_>>().join("\n\n"))
    })
}

/// The errors of a text that is not, rendered.
#[allow(dead_code)]
pub fn errors(text: &str) -> Vec<String> {
    let source = Source::file("classes.toml", text);
    parse(&source).expect_err("this should be in error").iter().map(|error| error.render(&source)).collect()
}

/// Asserts that a text has one error, which reads as given.
#[allow(dead_code)]
#[track_caller]
pub fn assert_error(text: &str, expected: &str) {
    let errors = errors(text);
    let found = errors.join("\n\n");
    assert!(errors.len() == 1 && found == expected.trim_matches('\n'), "found:\n{found}\n\nexpected:\n{expected}");
}
