//! Broken specs as rustc reports them: each message names the line and column of the mistake.
//!
//! `TRYBUILD=overwrite cargo test --test codegen compile_fail` writes the `.stderr` files anew; read the difference.

#[test]
fn compile_errors_point_at_the_mistake() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
