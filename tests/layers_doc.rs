//! `docs/LAYERS.md` has a section for each layer and each policy, and what it says of their costs was measured.

use hakmem_spec::LAYERS;

const TEXT: &str = include_str!("../docs/LAYERS.md");
const GOLDEN: &str = include_str!("golden/layers.txt");

/// The policies that have a section, and the name of what is counted of them: the paths of `examples/inspect` and the
/// comment for figures.
const POLICIES: [(&str, &str); 6] = [
    ("refill = \"front-direct\"", "front-direct"),
    ("refill = \"legacy\"", "legacy"),
    ("refill = \"background\"", "background"),
    ("free = \"deferred\"", "deferred"),
    ("header = \"region-id\"", "region-id"),
    ("stats = true", "stats"),
];

/// Title, without the backquotes, and text of each section about one layer or policy.
fn sections() -> Vec<(&'static str, &'static str)> {
    let parts = TEXT.split("\n### ").skip(1);
    let parts = parts.map(|part| part.split_once("\n## ").map_or(part, |(section, _)| section));
    parts
        .map(|part| part.split_once('\n').expect("text below the title"))
        .map(|(t, s)| (t.trim_matches('`'), s))
        .collect()
}

/// Function, instructions, branches, loads and stores of each row of the golden table whose function `of` accepts.
fn golden(of: impl Fn(&str) -> bool) -> Vec<Vec<&'static str>> {
    let rows = GOLDEN.lines().skip(1).map(|row| row.split_whitespace().take(5).collect::<Vec<_>>());
    rows.filter(|row| of(row[0])).collect()
}

/// The same of a section of the page.
fn shown(section: &'static str) -> Vec<Vec<&'static str>> {
    let (_, table) = section.split_once("| path | instructions | branches | loads | stores |\n").unwrap_or_default();
    let rows = table.lines().skip(1).take_while(|row| row.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect()).collect()
}

#[test]
fn each_layer_and_each_policy_has_a_section() {
    let titles: Vec<&str> = sections().iter().map(|(title, _)| *title).collect();
    let expected: Vec<&str> = LAYERS.iter().map(|layer| layer.name).chain(POLICIES.map(|(title, _)| title)).collect();
    assert_eq!(titles, expected, "in the order of the catalogue");
    for (title, text) in sections() {
        for part in ["**Helps**", "**Hurts**", "**Measured**", "**Source.**"] {
            assert_eq!(text.matches(part).count(), 1, "{part} in the section of {title}");
        }
    }
}

#[test]
fn costs_are_those_of_the_golden_table() {
    let mut rows = 0;
    for (title, text) in sections() {
        let policy = POLICIES.iter().find(|(policy, _)| *policy == title);
        let name = policy.map_or(title, |(_, name)| name).replace('-', "_");
        let prefix = format!("{name}_");
        let measured = golden(|function| function.starts_with(&prefix));
        assert_eq!(shown(text), measured, "the section of {title}");
        assert_eq!(measured.is_empty(), title.starts_with("refill"), "no policy of refills has a hit path of its own");
        rows += measured.len();
    }
    assert_eq!(rows, golden(|_| true).len(), "each row of the golden table is in one section");
}
