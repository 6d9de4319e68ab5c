//! The specs of `tests/allocator/stacks.rs`: every stack of one to three layers is a class of one of four allocators.
//!
//! They are generated here from the catalogue of layers, and committed in `tests/stacks`, where the macro finds them.
//! `BLESS=1 cargo test --test codegen stacks_specs` writes them anew; this is in another binary than their allocators, so that
//! it compiles when the committed ones are no longer valid.

use hakmem_spec::{Arguments, LAYERS, LayerKind, Source, Unit};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

/// A stack of layers.
type Stack = Vec<&'static LayerKind>;

/// All lists of up to three layers.
fn lists() -> Vec<Stack> {
    let mut all: Vec<Stack> = LAYERS.iter().map(|layer| vec![layer]).collect();
    let mut shorter = all.clone();
    for _ in 0..2 {
        let longer = shorter.iter().flat_map(|list| LAYERS.iter().map(|layer| [list.as_slice(), &[layer]].concat()));
        shorter = longer.collect();
        all.extend_from_slice(&shorter);
    }
    all
}

/// Whether a list is a stack: a layer once, one that takes every block last, one that stands ahead first.
fn is_stack(list: &Stack) -> bool {
    list.iter().enumerate().all(|(position, layer)| {
        let last = position + 1 == list.len();
        !list[..position].contains(layer) && (layer.bounded || last) && (!layer.inline || position == 0)
    })
}

fn stacks() -> Vec<Stack> {
    lists().into_iter().filter(is_stack).collect()
}

fn names(stack: &[&LayerKind]) -> Vec<&'static str> {
    stack.iter().map(|layer| layer.name).collect()
}

#[test]
fn the_parser_accepts_exactly_these_stacks() {
    for list in lists() {
        let spec = Source::file("stack.toml", format!("[[class]]\nsize = 64\nlayers = {:?}\n", names(&list)));
        assert_eq!(hakmem_spec::parse(&spec).is_ok(), is_stack(&list), "{:?}", names(&list));
    }
}

/// What the allocators differ in.
struct Variant {
    number: usize,
    head: &'static str,
    /// The limit of a layer with a parameter.
    limit: fn(&LayerKind) -> u64,
    background: bool,
}

/// Limits as small as the mechanisms of the layers allow to be seen.
fn small(layer: &LayerKind) -> u64 {
    match (layer.name, layer.parameter.map(|parameter| parameter.unit)) {
        ("ring", _) => 7,
        ("fast" | "heapv2", _) => 4,
        ("sfc", _) => 16,
        ("ultrahot", _) => 3,
        (_, Some(Unit::Bytes)) => 1024,
        _ => 8,
    }
}

/// The least that a spec may say.
fn least(layer: &LayerKind) -> u64 {
    layer.parameter.map_or(0, |parameter| parameter.min)
}

/// Limits that no power of two divides; and arrays that together take more than 64 KiB in each thread, with which places
/// (see the generated code) count in words.
fn odd(layer: &LayerKind) -> u64 {
    match (layer.name, layer.parameter.map(|parameter| parameter.unit)) {
        ("ultrahot", _) => 4,
        ("ring", _) => 63,
        ("sfc", _) => 201,
        (_, Some(Unit::Bytes)) => 3000,
        _ => 5,
    }
}

const VARIANTS: [Variant; 4] = [
    Variant { number: 1, head: "", limit: small, background: false },
    Variant {
        number: 2,
        head: "[superslab]\nsize = \"512 KiB\"\nslab = \"32 KiB\"\n\n[purge]\ndelay_ms = 0\n\n",
        limit: least,
        background: false,
    },
    Variant { number: 3, head: "[purge]\ndelay_ms = \"never\"\n\n", limit: odd, background: false },
    Variant { number: 4, head: "[purge]\ndelay_ms = 20\n\n", limit: small, background: true },
];

/// A class to be: what it says, whether its blocks have headers, and whether its spans must be one slab.
struct Entry {
    text: String,
    header: bool,
    in_slabs: bool,
}

/// The entry of `stack`, with policies that follow from its number.
fn entry(stack: &Stack, number: usize, background: bool) -> Entry {
    let bit = |bit: u32| number >> bit & 1 == 1;
    let mut text = format!("layers = {:?}\n", names(stack));
    let in_slabs = stack.iter().any(|layer| layer.arguments == Arguments::Geometry);
    if background && !in_slabs {
        text += "refill = \"background\"\n";
    } else if stack.iter().any(|layer| layer.name == "sll") && !number.is_multiple_of(3) {
        text += "refill = \"legacy\"\n";
    }
    for (flag, line) in [
        (bit(0), "header = \"region-id\"\n"),
        (bit(1), "free = \"deferred\"\n"),
        (bit(2), "stats = true\n"),
        (bit(3), "specialise = false\n"),
    ] {
        if flag {
            text += line;
        }
    }
    Entry { text, header: bit(0), in_slabs }
}

/// The classes of a variant: small ones without and with headers, then large ones, of which fresh memory is known to be
/// zero.
fn entries(variant: &Variant) -> Vec<Entry> {
    let (mut plain, mut headed) = (Vec::new(), Vec::new());
    // A layer in the slabs has no background refill; its stacks go to the others.
    let (in_slabs, other): (Vec<Stack>, Vec<Stack>) =
        stacks().into_iter().partition(|stack| stack.iter().any(|layer| layer.arguments == Arguments::Geometry));
    let of_other = other.iter().enumerate().filter(|(number, _)| number % 4 + 1 == variant.number);
    let of_in_slabs = in_slabs.iter().enumerate().filter(|(number, _)| number % 3 + 1 == variant.number);
    for (number, (_, stack)) in of_other.chain(of_in_slabs).enumerate() {
        let entry = entry(stack, number, variant.background);
        if entry.header { headed.push(entry) } else { plain.push(entry) }
    }
    let (large_plain, large_headed) =
        (plain.split_off(plain.len().saturating_sub(LARGE)), headed.split_off(headed.len().saturating_sub(LARGE)));
    plain.into_iter().chain(headed).chain(large_plain).chain(large_headed).collect()
}

/// Large classes of a variant, with headers and as many without.
const LARGE: usize = 6;

/// Larger classes may get longer spans where they are not told to have one slab.
const ONE_SLAB: u32 = 4096;

/// The text of a variant's spec.
fn spec(variant: &Variant) -> String {
    let mut text = String::from("# Generated: BLESS=1 cargo test --test codegen stacks_specs\n\n");
    text += variant.head;
    text += "[defaults]\n";
    for layer in LAYERS {
        if let Some(parameter) = layer.parameter {
            let limit = (variant.limit)(layer).clamp(parameter.min, parameter.max);
            writeln!(text, "{} = {{ {} = {limit} }}", layer.name, parameter.key).expect("writing to a string");
        }
    }
    let (mut size, mut served) = (8, 0);
    let all = entries(variant);
    for (position, Entry { text: lines, header, in_slabs }) in all.iter().enumerate() {
        if position + 2 * LARGE == all.len() {
            size = size.max(2048 - 128);
        }
        // The next size for which there are requests that no class before it serves.
        let serves = loop {
            let step = if size >= 1024 { 128 } else { 8 };
            size += step;
            let serves = if *header { (size - 1) / step * step } else { size };
            if serves > served {
                break serves;
            }
        };
        served = serves;
        write!(text, "\n[[class]]\nsize = {size}\n{lines}").expect("writing to a string");
        if *in_slabs && size > ONE_SLAB {
            text += "slab_units = 1\n";
        }
    }
    text
}

#[test]
fn the_specs_are_the_committed_ones() {
    let mut covered = BTreeSet::new();
    for variant in &VARIANTS {
        let (name, text) = (format!("tests/stacks/{}.toml", variant.number), spec(variant));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&name);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &text).expect("the spec can be written");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "{name} is not what the catalogue of layers gives; BLESS=1 writes it anew");
        let source = Source::file(&name, &text);
        let spec = hakmem_spec::parse(&source).unwrap_or_else(|errors| panic!("{}", errors[0].render(&source)));
        for class in &spec.classes {
            covered.insert(class.stack.iter().map(|layer| layer.kind.name).collect::<Vec<_>>());
        }
    }
    let all: BTreeSet<Vec<&str>> = stacks().iter().map(|stack| names(stack)).collect();
    assert_eq!(covered, all);
}
