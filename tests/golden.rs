//! The fast path is the product, so it is held to a committed table.
//!
//! The test builds `examples/inspect` twice (fat LTO, and a plain release build), disassembles each named function,
//! follows its hit path, and counts. Any change of a row fails with a diff; `BLESS=1 cargo test --test golden` accepts
//! it. Beyond the table, the limits that the project promises are asserted here, and the budgets of the default spec.
//! Each layer and policy has its rows in a table of its own, `layers.txt`, from the build with fat LTO alone; and so have
//! the functions of C that `examples/preload` exports, `preload.txt`.

mod common;

use common::build_example;
use iced_x86::{Decoder, DecoderOptions, FlowControl, InstructionInfoFactory, Mnemonic, OpAccess, Register};
use object::{Object, ObjectSection, ObjectSymbol};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// What happens on a path from a function's entry to its return. The return itself is not counted: inlined, there is
/// none.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Counts {
    instructions: usize,
    branches: usize,
    loads: usize,
    stores: usize,
    calls: usize,
    atomics: usize,
    stack: usize,
}

/// A function's machine code.
struct Function {
    address: u64,
    code: Vec<u8>,
}

impl Function {
    /// The hit path: of the ways to a return, the one with the fewest calls, and of those the shortest. `None`: there is
    /// no way but through a jump that this does not follow.
    fn hit_path(&self) -> Option<Counts> {
        self.walk(self.address, Counts::default(), 0)
    }

    fn walk(&self, from: u64, mut counts: Counts, depth: usize) -> Option<Counts> {
        let offset = usize::try_from(from.checked_sub(self.address)?).ok()?;
        let code = self.code.get(offset..)?;
        let mut factory = InstructionInfoFactory::new();
        for instruction in &mut Decoder::with_ip(64, code, from, DecoderOptions::NONE) {
            match instruction.flow_control() {
                FlowControl::Return => return Some(counts),
                FlowControl::Call | FlowControl::IndirectCall => counts.calls += 1,
                // A jump table: exactly what must not be. Or the end of a function that never returns.
                FlowControl::IndirectBranch | FlowControl::Interrupt | FlowControl::Exception => return None,
                FlowControl::UnconditionalBranch => {
                    counts.instructions += 1;
                    return if depth < 16 {
                        self.walk(instruction.near_branch_target(), counts, depth + 1)
                    } else {
                        None
                    };
                }
                FlowControl::ConditionalBranch => {
                    counts.instructions += 1;
                    counts.branches += 1;
                    if depth >= 16 {
                        return None;
                    }
                    let there = self.walk(instruction.near_branch_target(), counts, depth + 1);
                    let here = self.walk(instruction.next_ip(), counts, depth + 1);
                    return [here, there].into_iter().flatten().min_by_key(|way| (way.calls, way.instructions));
                }
                _ => {}
            }
            if instruction.mnemonic() == Mnemonic::Nop {
                continue;
            }
            counts.instructions += 1;
            for memory in factory.info(&instruction).used_memory() {
                let stack = memory.base() == Register::RSP;
                counts.stack += usize::from(stack);
                match memory.access() {
                    OpAccess::Read | OpAccess::CondRead => counts.loads += 1,
                    OpAccess::Write | OpAccess::CondWrite => counts.stores += 1,
                    OpAccess::ReadWrite | OpAccess::ReadCondWrite => {
                        counts.loads += 1;
                        counts.stores += 1;
                        let exchange = instruction.mnemonic() == Mnemonic::Xchg;
                        counts.atomics += usize::from(exchange || instruction.has_lock_prefix());
                    }
                    _ => {}
                }
            }
        }
        None
    }
}

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
    ("pages", Some((9, 13))),
    ("deferred", None),
    ("region_id", None),
    ("stats", None),
];

/// The paths of each, as the example names them.
const PATHS: [&str; 4] = ["alloc", "free", "alloc_any", "free_any"];

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

/// Those functions of a binary that are wanted, by name.
fn functions(binary: &Path, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, Function> {
    let bytes = std::fs::read(binary).expect("the binary was just built");
    let file = object::File::parse(&*bytes).expect("an ELF file");
    let mut functions = BTreeMap::new();
    for symbol in file.symbols() {
        let Ok(name) = symbol.name() else { continue };
        let Some(section) = symbol.section_index().filter(|_| wanted(name) && symbol.size() > 0) else { continue };
        let section = file.section_by_index(section).expect("the symbol's section");
        let code = section.data_range(symbol.address(), symbol.size()).expect("readable").expect("inside the section");
        functions.insert(name.to_owned(), Function { address: symbol.address(), code: code.to_vec() });
    }
    functions
}

/// A name's place in the table: what, then how large.
fn order(name: &str) -> (String, u32) {
    let (what, size) = name.rsplit_once('_').unwrap_or((name, ""));
    size.parse().map_or_else(|_| (name.to_owned(), u32::MAX), |size| (what.to_owned(), size))
}

/// The rows of `names`, in this order.
fn table(functions: &BTreeMap<String, Function>, names: &[String]) -> String {
    let width = names.iter().map(String::len).max().unwrap_or(0).max(13);
    let mut table = format!("{:<width$} instructions branches loads stores calls atomics stack\n", "function");
    for name in names {
        let function = functions.get(name).unwrap_or_else(|| panic!("{name} is not a symbol of the binary"));
        match function.hit_path() {
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
fn limits(profile: &str, functions: &BTreeMap<String, Function>) {
    let spec = hakmem_spec::parse(&hakmem_spec::Source::default_spec()).expect("the default spec is valid");
    let budgets: BTreeMap<u32, (usize, usize)> = spec
        .classes
        .iter()
        .filter_map(|class| class.budget.map(|budget| (class.size, (budget.alloc as usize, budget.free as usize))))
        .collect();
    for (name, function) in functions {
        let (what, size) = order(name);
        let Some(&(alloc, free)) = budgets.get(&size) else { continue };
        let counts = function.hit_path().unwrap_or_else(|| panic!("{profile}: {name} has no path to a return"));
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
        let counts = functions[name].hit_path().expect("a hit calls nothing");
        assert!(counts.instructions <= most, "{profile}: {name} takes {counts:?}");
        assert_eq!((counts.calls, counts.atomics, counts.stack), (0, 0, 0), "{profile}: {name}: {counts:?}");
    }
}

/// The limits of the layers, and what holds of every hit path of a layer.
fn layer_limits(functions: &BTreeMap<String, Function>) {
    let path = |name: &str| functions[name].hit_path().unwrap_or_else(|| panic!("{name} has no path to a return"));
    for (layer, limits) in LAYERS {
        for what in PATHS {
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
        let functions = functions(&build_example("inspect", profile).join("inspect"), is_inspected);
        assert!(functions.len() > 50, "the example's functions are symbols of the binary");
        limits(profile, &functions);
        let mut names: Vec<String> = functions.keys().filter(|name| !is_layers(name)).cloned().collect();
        if profile == "plain" {
            // How std's generics fall into codegen units, and what is inlined there, changes with unrelated code.
            names.retain(|name| name.starts_with("alloc_") || name.starts_with("free_"));
        } else {
            layer_limits(&functions);
            let layers: Vec<String> =
                LAYERS.iter().flat_map(|(layer, _)| PATHS.iter().map(move |path| format!("{layer}_{path}"))).collect();
            compare("layers.txt", &table(&functions, &layers));
        }
        names.sort_by_key(|name| order(name));
        compare(name, &table(&functions, &names));
    }
}

/// In a shared library, too: no call for the thread's front, and one load more for each of its two addresses.
#[test]
fn exported_hit_paths_are_the_committed_ones() {
    let library = build_example("preload", "release").join("libpreload.so");
    let functions = functions(&library, |name| EXPORTED.iter().any(|(exported, _)| *exported == name));
    for (name, most) in EXPORTED {
        let counts = functions[name].hit_path().unwrap_or_else(|| panic!("{name} has no path to a return"));
        assert!(counts.instructions <= most, "{name} takes {counts:?}, its limit is {most} instructions");
        assert_eq!((counts.calls, counts.atomics, counts.stack), (0, 0, 0), "{name}: {counts:?}");
    }
    compare("preload.txt", &table(&functions, &EXPORTED.map(|(name, _)| name.to_owned())));
}
