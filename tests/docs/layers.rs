//! `docs/LAYERS.md` has a section for each layer and each policy, what a hit of each costs, and what was measured.

use crate::page::{check, recorded, table};
use hakmem_spec::LAYERS;

const TEXT: &str = include_str!("../../docs/LAYERS.md");
const GOLDEN: &str = include_str!("../golden/layers.txt");

/// The policies that have a section, and the name of what is counted of them: the paths of `examples/inspect` and the
/// rows of `examples/stacks`.
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

/// Function, instructions, branches, loads and stores of each row of the golden table.
fn golden() -> Vec<Vec<&'static str>> {
    GOLDEN.lines().skip(1).map(|row| row.split_whitespace().take(5).collect()).collect()
}

#[test]
fn each_layer_and_each_policy_has_a_section() {
    let titles: Vec<&str> = sections().iter().map(|(title, _)| *title).collect();
    let expected: Vec<&str> = LAYERS.iter().map(|layer| layer.name).chain(POLICIES.map(|(title, _)| title)).collect();
    assert_eq!(titles, expected, "in the order of the catalogue");
    for (title, text) in sections() {
        for part in ["**Helps**", "**Hurts**", "**State.**", "**Source.**"] {
            assert_eq!(text.matches(part).count(), 1, "{part} in the section of {title}");
        }
    }
}

/// The paths of a layer or policy in the golden table, in the order of the columns.
const PATHS: [&str; 4] = ["alloc", "free", "alloc_any", "free_any"];

#[test]
fn costs_are_those_of_the_golden_table() {
    let rows = golden();
    let mut shown = 0;
    let mut lines = Vec::new();
    for (title, text) in sections() {
        assert!(!text.contains("| instructions |"), "{title}: costs are in the one table");
        let policy = POLICIES.iter().find(|(policy, _)| *policy == title);
        let name = policy.map_or(title, |(_, name)| name).replace('-', "_");
        let cells = PATHS.map(|path| rows.iter().find(|row| row[0] == format!("{name}_{path}")));
        let present = cells.iter().flatten().count();
        assert_eq!(present == 0, title.starts_with("refill"), "no policy of refills has a hit path of its own");
        shown += present;
        if present > 0 {
            let cell = |row: &Vec<&str>| format!("{} ({}, {}, {})", row[1], row[2], row[3], row[4]);
            let cells = cells.iter().map(|row| row.map_or("a call".to_owned(), cell));
            lines.push([format!("`{title}`")].into_iter().chain(cells).collect());
        }
    }
    assert_eq!(shown, rows.len(), "each row of the golden table is in the table");
    let head = ["hit", "allocate", "free", "allocate, size at run time", "free, size at run time"];
    check("docs/LAYERS.md", "costs", &table(&head, &lines));
}

/// The medians of `examples/stacks`, the best of each column in bold.
#[test]
fn measured_stacks_are_those_of_the_recorded_run() {
    let rows = recorded("stacks");
    let (head, rows) = rows.split_first().expect("a head");
    let number = |row: &[String], column: usize| -> f64 { row[column].parse().expect("a number") };
    let again = |row: &[String]| row[0].ends_with("(again)");
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let cells = (1..row.len()).map(|column| {
                let value = number(row, column);
                let text = if value < 100.0 { format!("{value:.1}") } else { format!("{value:.0}") };
                let arms = rows.iter().filter(|row| !again(row));
                let best = arms.map(|row| number(row, column)).fold(f64::INFINITY, f64::min);
                if value == best && !again(row) { format!("**{text}**") } else { text }
            });
            [row[0].clone()].into_iter().chain(cells).collect()
        })
        .collect();
    let head: Vec<&str> = head.iter().map(|column| &**column).collect();
    check("docs/LAYERS.md", "measured", &table(&head, &lines));
    // Each layer leads a stack, and each policy is on one, but for what all have and what only counts.
    for layer in LAYERS {
        let leads = |row: &Vec<String>| row[0].split(['+', ',']).next() == Some(layer.name);
        assert!(rows.iter().any(leads), "{} was not measured", layer.name);
    }
    for (title, name) in POLICIES.iter().filter(|(_, name)| !["front-direct", "stats"].contains(name)) {
        let on = format!(", {name}");
        assert!(rows.iter().any(|row| row[0].ends_with(&on)), "{title} was not measured");
    }
}
