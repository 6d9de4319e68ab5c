//! A script interpreter at work: scripts compiled and run that build strings, arrays, maps and closures.

use crate::checksum::Checksum;
use crate::input::{self, Rng};
use rhai::{Engine, Map, OptimizationLevel, Scope};

const SCRIPT: &str = include_str!("../input/script.rhai");

pub(crate) fn run(scale: u32) -> u64 {
    let words = input::words();
    let mut rng = Rng::new(5);
    let mut sum = Checksum::default();
    let mut engine = Engine::new();
    engine.set_optimization_level(OptimizationLevel::Simple);
    // Debug builds allow less, and the script would not compile there.
    engine.set_max_expr_depths(64, 32);
    // Kept from run to run: what the last ninety made.
    let mut scope = Scope::new();
    scope.push("store", Map::new());
    for round in 0..i64::from(scale) {
        let script = engine.compile(SCRIPT).expect("the committed script compiles");
        scope.rewind(1);
        scope.push("text", rng.sentence(&words, 400)).push("seed", round + 1);
        let result: String = engine.eval_ast_with_scope(&mut scope, &script).expect("the committed script runs");
        sum.text(&result);
    }
    let store = scope.get_value::<Map>("store").unwrap_or_default();
    sum.count(store.len());
    sum.value()
}

#[cfg(test)]
#[test]
fn checksum() {
    assert_eq!(run(1), 0x4d5c_07b4_88ce_ecde);
}
