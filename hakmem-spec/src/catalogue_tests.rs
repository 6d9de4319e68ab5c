//! Tests with another catalogue: a new layer needs an entry there and nothing else in this crate.

use crate::layers::{LayerKind, bounded, unbounded};
use crate::{Plan, Source, Spec, parse_with};

static CATALOGUE: &[LayerKind] = &[
    bounded("unified", "Unified", "").per_block("capacity", 8192, 2, 64),
    unbounded("sll", "Sll", "").per_byte("high_water", 32 << 10),
    bounded("ring", "Ring", "").per_block("slots", 4096, 1, 16),
    bounded("pair", "Pair", ""),
];

fn spec(text: &str) -> Spec {
    let source = Source::file("classes.toml", text);
    parse_with(&source, CATALOGUE).unwrap_or_else(|errors| panic!("{}", errors[0].render(&source)))
}

fn error(text: &str) -> String {
    let source = Source::file("classes.toml", text);
    parse_with(&source, CATALOGUE).unwrap_err()[0].render(&source)
}

#[test]
fn a_new_layer_parses_with_its_parameter() {
    let spec = spec("[[class]]\nsizes = [64, 512]\nlayers = ['pair', 'ring', 'sll']\nring = { slots = 9 }\n");
    let limits: Vec<_> = spec.classes[1].stack.iter().map(|layer| (layer.kind.type_name, layer.limit)).collect();
    assert_eq!(limits, [("Pair", 0), ("Ring", 9), ("Sll", 64)]);
    // `pair` has no limit, so `ring` is the first layer that limits the batch.
    assert_eq!(spec.classes.iter().map(|class| class.batch).collect::<Vec<_>>(), [9, 8]);
}

#[test]
fn classes_are_ordered_by_group_and_groups_by_their_smallest_class() {
    let spec = spec(
        "[[class]]\nsizes = [8, 16]\n[[class]]\nsizes = [32, 64]\nlayers = ['ring']\n[[class]]\nsize = 128\n\
         [[class]]\nsize = 256\nlayers = ['ring', 'unified']\n[[class]]\nsize = 512\nspecialise = false\n",
    );
    let plan = Plan::new(&spec);
    let groups: Vec<_> = plan
        .groups
        .iter()
        .map(|g| (g.layers.iter().map(|l| l.name).collect(), g.specialise, g.classes.clone()))
        .collect();
    assert_eq!(
        groups,
        [
            (vec!["unified", "sll"], true, 0..3),
            (vec!["ring"], true, 3..5),
            (vec!["ring", "unified"], true, 5..6),
            (vec!["unified", "sll"], false, 6..7),
        ]
    );
    assert_eq!(plan.classes.iter().map(|class| class.size).collect::<Vec<_>>(), [8, 16, 128, 32, 64, 256, 512]);
    assert_eq!(plan.index_of_class, [0, 1, 3, 4, 2, 5, 6]);
    assert_eq!(plan.class_for(17, 8), Some(3));
    assert_eq!(plan.small.class_index(17), Some(3));
    assert_eq!(plan.small.class_index(65), Some(2));
}

#[test]
fn errors_name_the_layers_of_the_catalogue() {
    assert_eq!(
        error("[[class]]\nsize = 8\nlayers = ['rign']\n"),
        "there is no layer `rign`\n --> classes.toml:3:11\n  |\n3 | layers = ['rign']\n  |           ^^^^^^ not in the catalogue\n  |\n  \
         = help: did you mean `ring`? Possible here: `unified`, `sll`, `ring`, `pair`"
    );
    assert!(error("[[class]]\nsize = 8\nring = {}\n").starts_with("the class does not use the layer `ring`\n"));
    let error = error("[[class]]\nsize = 8\nlayers = ['pair']\npair = { slots = 2 }\n");
    assert!(error.contains("unknown key `slots` in `pair`"), "{error}");
    assert!(error.ends_with("= help: nothing can be set in `pair`; remove it"), "{error}");
}
