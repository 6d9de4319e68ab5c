//! The fast path is the product, so it is held to a committed table.
//!
//! The test builds `examples/inspect` twice (fat LTO, and a plain release build), disassembles each named function,
//! follows its hit path, and counts. Any change of a row fails with a diff; `BLESS=1 cargo test --test codegen golden` accepts
//! it. Beyond the table, the limits that the project promises are asserted here, and the budgets of the default spec.
//! Each layer and policy has its rows in a table of its own, `layers.txt`, from the build with fat LTO alone; and so have
//! the functions of C that `examples/preload` exports, `preload.txt`.

use crate::cargo::build_example;
use hakmem_asm::{Binary, Counts, Jumps};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// The allocators of `examples/inspect/layers.rs`, and the most instructions of an allocation and of a free of constant
/// size where the project promises a limit. What a layer costs, and why, is in `docs/LAYERS.md`.
const LAYERS: &[(&str, Option<(usize, usize)>)] = &[
    ("unified", Some((5, 6))),
    ("sll", None),
    ("ring", Some((8, 8))),
    ("fast", Some((8, 8))),
    ("sfc", Some((8, 8))),
    // A free without a count and without a look would take three. Why it looks is at the head of the layer's file.
    ("c23", Some((5, 5))),
    ("ultrahot", Some((5, 4))),
    ("heapv2", Some((8, 8))),
    ("hot", Some((7, 6))),
    // Five of the thirteen find the slab's entry, which is apart from the blocks, from the address.
    ("pages", Some((8, 13))),
    ("quarantine", None),
    ("deferred", None),
    ("region_id", None),
    ("stats", None),
];

/// The paths of each, as the example names them.
const PATHS: [&str; 4] = ["alloc", "free", "alloc_any", "free_any"];

/// Whether a path of a layer is a hit at all. `quarantine` fills each freed block, so a free goes on to the cold path.
fn is_hit(layer: &str, path: &str) -> bool {
    layer != "quarantine" || path.starts_with("alloc")
}

/// Whether a symbol is a path of a layer.
fn is_layers(name: &str) -> bool {
    LAYERS.iter().any(|(layer, _)| {
        name.strip_prefix(layer).and_then(|rest| rest.strip_prefix('_')).is_some_and(|path| PATHS.contains(&path))
    })
}

/// Whether a symbol is a path of `examples/inspect`.
fn is_inspected(name: &str) -> bool {
    ["alloc_", "free_", "box_", "vec_push"].iter().any(|prefix| name.starts_with(prefix)) || is_layers(name)
}

/// What C calls that has a hit path.
const EXPORTED: [(&str, usize); 2] = [("malloc", 16), ("free", 18)];

/// The hit path of each wanted function by name; `None` where there is no way to a return but through a jump into another
/// function.
type Paths = BTreeMap<String, Option<Counts>>;

fn paths(binary: &Path, wanted: impl Fn(&str) -> bool) -> Paths {
    let binary = Binary::open(binary).expect("the binary was just built");
    let functions = binary.functions().iter().filter(|function| wanted(&function.name));
    functions
        .map(|function| (function.name.clone(), binary.hit_path(function, Jumps::Stay).map(|path| path.counts)))
        .collect()
}

/// A name's place in the table: what, then how large.
fn order(name: &str) -> (String, u32) {
    let (what, size) = name.rsplit_once('_').unwrap_or((name, ""));
    size.parse().map_or_else(|_| (name.to_owned(), u32::MAX), |size| (what.to_owned(), size))
}

/// The rows of `names`, in this order.
fn table(paths: &Paths, names: &[String]) -> String {
    let width = names.iter().map(String::len).max().unwrap_or(0).max(13);
    let mut table = format!("{:<width$} instructions branches loads stores calls atomics stack\n", "function");
    for name in names {
        match paths.get(name).unwrap_or_else(|| panic!("{name} is not a symbol of the binary")) {
            Some(c) => writeln!(
                table,
                "{name:<width$} {:>12} {:>8} {:>5} {:>6} {:>5} {:>7} {:>5}",
                c.instructions, c.branches, c.loads, c.stores, c.calls, c.atomics, c.stack
            ),
            None => writeln!(table, "{name:<width$} leaves by a jump"),
        }
        .expect("writing to a string");
    }
    table
}

/// Compares with the committed table, or replaces it.
fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, found).expect("the table can be written");
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let mut diff = String::new();
    for line in golden.lines().filter(|line| !found.lines().any(|other| other == *line)) {
        writeln!(diff, "- {line}").expect("writing to a string");
    }
    for line in found.lines().filter(|line| !golden.lines().any(|other| other == *line)) {
        writeln!(diff, "+ {line}").expect("writing to a string");
    }
    assert!(diff.is_empty(), "hit paths differ from tests/golden/{name} (BLESS=1 accepts them):\n{diff}");
}

/// The limits that hold whatever the table says.
fn limits(profile: &str, paths: &Paths) {
    let spec = hakmem_spec::parse(&hakmem_spec::Source::default_spec()).expect("the default spec is valid");
    let budgets: BTreeMap<u32, (usize, usize)> = spec
        .classes
        .iter()
        .filter_map(|class| class.budget.map(|budget| (class.size, (budget.alloc as usize, budget.free as usize))))
        .collect();
    for (name, path) in paths {
        let (what, size) = order(name);
        let Some(&(alloc, free)) = budgets.get(&size) else { continue };
        let counts = path.unwrap_or_else(|| panic!("{profile}: {name} has no path to a return"));
        let most = if what == "alloc" { alloc } else { free };
        assert!(counts.instructions <= most, "{profile}: {name} takes {counts:?}, its budget is {most} instructions");
        // A free by way of `pages` asks whose the page is, and whether it is empty now.
        let branches = if what == "alloc" { 1 } else { 2 };
        assert!(counts.branches <= branches, "{profile}: {name} branches more than it must: {counts:?}");
        assert_eq!((counts.calls, counts.atomics, counts.stack), (0, 0, 0), "{profile}: {name}: {counts:?}");
    }
    assert!(budgets.len() >= 20, "the default spec states a budget for its small classes");
    // Size and alignment compared, the table, and the hit.
    for (name, most) in [("alloc_any", 8 + 8), ("free_any", 8 + 13)] {
        let counts = paths[name].expect("a hit calls nothing");
        assert!(counts.instructions <= most, "{profile}: {name} takes {counts:?}");
        assert_eq!((counts.calls, counts.atomics, counts.stack), (0, 0, 0), "{profile}: {name}: {counts:?}");
    }
}

/// The limits of the layers, and what holds of every hit path of a layer.
fn layer_limits(paths: &Paths) {
    let path = |name: &str| paths[name].unwrap_or_else(|| panic!("{name} has no path to a return"));
    for (layer, limits) in LAYERS {
        for what in PATHS {
            if !is_hit(layer, what) {
                assert_eq!(paths[&format!("{layer}_{what}")], None, "{layer}_{what} does not fill the block");
                continue;
            }
            let counts = path(&format!("{layer}_{what}"));
            assert_eq!((counts.calls, counts.atomics), (0, 0), "{layer}_{what}: {counts:?}");
            // A free with a header may save the block across the question whether the pointer is ours.
            assert!(counts.stack == 0 || *layer == "region_id", "{layer}_{what}: {counts:?}");
        }
        let Some((alloc, free)) = *limits else { continue };
        for (what, most) in [("alloc", alloc), ("free", free)] {
            let counts = path(&format!("{layer}_{what}"));
            assert!(counts.instructions <= most, "{layer}_{what} takes {counts:?}, its limit is {most} instructions");
        }
    }
}

#[test]
fn hit_paths_are_the_committed_ones() {
    for (profile, name) in [("release", "fat-lto.txt"), ("plain", "plain.txt")] {
        let paths = paths(&build_example("inspect", profile).join("inspect"), is_inspected);
        assert!(paths.len() > 50, "the example's functions are symbols of the binary");
        limits(profile, &paths);
        let mut names: Vec<String> = paths.keys().filter(|name| !is_layers(name)).cloned().collect();
        if profile == "plain" {
            // How std's generics fall into codegen units, and what is inlined there, changes with unrelated code.
            names.retain(|name| name.starts_with("alloc_") || name.starts_with("free_"));
        } else {
            layer_limits(&paths);
            let hits = |layer| PATHS.iter().filter(move |what| is_hit(layer, what)).map(move |what| (layer, what));
            let all = LAYERS.iter().flat_map(|(layer, _)| hits(*layer));
            let layers: Vec<String> = all.map(|(layer, what)| format!("{layer}_{what}")).collect();
            compare("layers.txt", &table(&paths, &layers));
        }
        names.sort_by_key(|name| order(name));
        compare(name, &table(&paths, &names));
    }
}

/// Whether a function is the allocator's.
fn is_ours(name: &str) -> bool {
    name.contains("hakmem_runtime")
        || name.contains("__hakmem")
        || EXPORTED.iter().any(|(exported, _)| *exported == name)
}

/// What is called where a program panics: not because a function that C calls must not unwind, as the compiler assumes that
/// one behind a pointer may.
fn is_panic(name: &str) -> bool {
    let starts = [
        "core::panicking::",
        "core::option::unwrap_failed",
        "core::option::expect_failed",
        "core::result::unwrap_failed",
        "core::cell::panic_already",
        "core::slice::index::",
        "alloc::alloc::handle_alloc_error",
    ];
    starts.iter().any(|start| name.starts_with(start)) && !name.contains("panic_cannot_unwind")
}

/// A panic allocates, and takes the lock of standard error: in the allocator it would be another fault.
#[test]
fn no_path_of_the_allocator_panics() {
    let panics = |path: &Path| -> Vec<String> {
        let binary = Binary::open(path).expect("the library was just built");
        let all =
            binary.functions().iter().flat_map(|from| binary.called_by(from).into_iter().map(move |to| (from, to)));
        let (ours, others): (Vec<_>, Vec<_>) =
            all.filter(|(_, to)| is_panic(&to.name)).partition(|(from, _)| is_ours(&from.name));
        assert!(others.len() > 10, "the search finds panics elsewhere");
        ours.iter().map(|(from, to)| format!("{} calls {}", from.name, to.name)).collect()
    };
    let library = build_example("preload", "release").join("libpreload.so");
    assert_eq!(panics(&library), Vec::<String>::new());
}

/// In a shared library, too: no call for the thread's front, and one load more for each of its two addresses.
#[test]
fn exported_hit_paths_are_the_committed_ones() {
    let library = build_example("preload", "release").join("libpreload.so");
    let paths = paths(&library, |name| EXPORTED.iter().any(|(exported, _)| *exported == name));
    for (name, most) in EXPORTED {
        let counts = paths[name].unwrap_or_else(|| panic!("{name} has no path to a return"));
        assert!(counts.instructions <= most, "{name} takes {counts:?}, its limit is {most} instructions");
        assert_eq!((counts.calls, counts.atomics, counts.stack), (0, 0, 0), "{name}: {counts:?}");
    }
    compare("preload.txt", &table(&paths, &EXPORTED.map(|(name, _)| name.to_owned())));
}
