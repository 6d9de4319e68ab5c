//! The checks: each returns what it found in a binary that its spec does not name.

use super::binary::{Binary, Kind, Symbol};
use super::samples::{POLICIES, Spec};
use hakmem_spec::LAYERS;

/// Functions in files that several layers share, of use to one of them alone.
const PARTS: &[(&str, &str)] =
    &[("::split_run", "hot"), ("::refill_page", "pages"), ("::relist", "pages"), ("::leave_at_end", "quarantine")];

/// Bytes of a state of the class of 64 bytes, which allows `ring` 63 blocks, `fast` 32, `sfc` 256, `ultrahot` 2 and
/// `quarantine` 200.
pub(crate) const STATES: &[(&str, u64)] = &[
    ("unified", 16),
    ("sll", 16),
    ("ring", 16 + 64 * 8),
    ("fast", 8 + 32 * 8),
    ("sfc", 16 + 256 * 8),
    ("c23", 16),
    ("ultrahot", 2 * 8),
    ("heapv2", 48),
    ("hot", 32),
    ("pages", 24),
    ("quarantine", 16 + 256 * 8),
];

/// Bytes of the allocator's functions in each program, as measured with rustc 1.95. All but some hundreds of them are the
/// runtime's under every stack: its pool, its large blocks. A twentieth more is no finding: compilers differ.
const TEXT: &[(&str, u64)] = &[
    ("with_unified", 80_273),
    ("with_sll", 80_098),
    ("with_ring", 80_476),
    ("with_fast", 79_989),
    ("with_sfc", 80_374),
    ("with_c23", 79_838),
    ("with_ultrahot", 80_080),
    ("with_heapv2", 82_853),
    ("with_hot", 81_543),
    ("with_pages", 81_446),
    ("with_quarantine", 81_443),
    ("with_legacy", 81_816),
    ("with_background", 89_139),
    ("with_deferred", 80_916),
    ("with_region_id", 82_334),
    ("with_purger", 93_409),
    ("with_crash_report", 85_603),
    ("with_counted", 80_970),
    ("with_unified_over_sll", 81_331),
    ("with_ultrahot_ahead", 82_414),
];

/// Symbols of functions that nobody named.
pub(crate) fn functions(binary: &Binary, spec: &Spec) -> Vec<String> {
    let functions = binary.symbols.iter().filter(|symbol| symbol.kind == Kind::Function);
    functions
        .filter_map(|Symbol { name, .. }| {
            let part = PARTS.iter().find(|(part, layer)| {
                name.contains("hakmem_runtime::") && name.contains(part) && !spec.layers.contains(layer)
            });
            let foreign = foreign_module(name, spec).or(part.map(|(_, layer)| (*layer).to_owned()))?;
            Some(format!("function of {foreign}: {name}"))
        })
        .collect()
}

/// Statics and thread-locals that nobody named: the runtime's by their module; the generated ones by the words of their
/// names, which are those of layers and of what a policy needs.
pub(crate) fn statics(binary: &Binary, spec: &Spec) -> Vec<String> {
    let foreign_word = |name: &str| {
        let (_, generated) = name.split_once("::__hakmem_heap::")?;
        let lower = generated.to_lowercase();
        let words: Vec<&str> = lower.split(|letter: char| !letter.is_alphanumeric()).collect();
        let layers = LAYERS.iter().map(|kind| kind.name).filter(|name| !spec.layers.contains(name));
        let policies = POLICIES.iter().filter(|&policy| spec.policy != Some(policy));
        let mut foreign = layers.chain(policies.flat_map(|policy| policy.statics.iter().copied()));
        foreign.find(|word| words.contains(word)).map(str::to_owned)
    };
    let statics = binary.symbols.iter().filter(|symbol| symbol.kind != Kind::Function);
    statics
        .filter_map(|Symbol { name, size, .. }| {
            let foreign = foreign_module(name, spec).or_else(|| foreign_word(name))?;
            Some(format!("static of {foreign}, {size} bytes: {name}"))
        })
        .collect()
}

/// A module of the runtime in a symbol's name that the spec does not allow.
fn foreign_module(name: &str, spec: &Spec) -> Option<String> {
    name.match_indices("hakmem_runtime::").find_map(|(start, crate_name)| {
        let lower = |part: &&str| part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        // After a module there may also be an item of that module itself.
        let path: Vec<&str> = name[start + crate_name.len()..].split("::").take(2).take_while(lower).collect();
        let known = [path.join("::"), path.first().copied().unwrap_or_default().to_owned()];
        known.into_iter().find(|module| !spec.allows(module))
    })
}

/// Instructions that nobody named.
pub(crate) fn code(binary: &Binary, spec: &Spec) -> Vec<String> {
    let foreign = binary.code.iter().filter(|(module, _)| !spec.allows(module));
    foreign
        .map(|(module, line)| {
            let function = binary.function_at(line.address);
            format!("code of {module}: line {} at {:#x}, in {function}", line.number, line.address)
        })
        .collect()
}

/// Texts that nobody named. A layer's name is a common word, so only a string that *is* the name counts, and only if the
/// same program without hakmem has no such string.
pub(crate) fn strings(binary: &Binary, spec: &Spec, system: &Binary) -> Vec<String> {
    let names = binary.names.difference(&system.names).filter(|name| !spec.layers.contains(name));
    let policies = POLICIES.iter().filter(|&policy| spec.policy != Some(policy));
    let texts = policies.flat_map(|policy| policy.texts).filter(|text| contains(binary, text));
    names.chain(texts).map(|text| format!("text {text:?}")).collect()
}

/// Whether the constants of `binary` contain `text`.
pub(crate) fn contains(binary: &Binary, text: &str) -> bool {
    binary.constants.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Thread-local bytes that nobody named: the generated struct has the states of the layers and the pointer to the heap,
/// in whole cache lines; the program has no more than that beside what it has with the system's allocator.
pub(crate) fn thread_local(binary: &Binary, spec: &Spec, system: &Binary) -> Vec<String> {
    const LINE: u64 = 64;
    let layers = spec.layers.iter().flat_map(|layer| STATES.iter().find(|(name, _)| name == layer));
    let state = layers.map(|(_, bytes)| bytes).sum::<u64>() + spec.policy.map_or(0, |policy| policy.state);
    let expected = (state + size_of::<usize>() as u64).next_multiple_of(LINE);
    let mut findings = Vec::new();
    if binary.state() != expected {
        findings.push(format!("thread-local: the generated struct has {} bytes, not {expected}", binary.state()));
    }
    // The struct begins at a cache line.
    let most = system.thread_local.next_multiple_of(LINE) + expected;
    if binary.thread_local > most {
        findings.push(format!("thread-local: the program has {} bytes, not {most}", binary.thread_local));
    }
    // Two layers have states that are not zero at first: they lead to an empty slab, or slot.
    let copied = if ["pages", "heapv2"].iter().any(|name| spec.layers.contains(name)) { expected } else { 0 };
    if binary.initialised > system.initialised.next_multiple_of(LINE) + copied {
        findings.push(format!("thread-local: {} bytes are not zero at first", binary.initialised));
    }
    findings
}

/// Bytes of code above those of the table.
pub(crate) fn text(binary: &Binary) -> Vec<String> {
    text_of(binary, &binary.name)
}

/// The same, above those of the program called `name`.
pub(crate) fn text_of(binary: &Binary, name: &str) -> Vec<String> {
    let measured = TEXT.iter().find(|(program, _)| *program == name).map_or(0, |(_, bytes)| *bytes);
    let (found, most) = (binary.text(), measured + measured / 20);
    (found > most).then(|| format!("text: the allocator has {found} bytes, not {most}")).into_iter().collect()
}

/// Everything but the size of the text.
pub(crate) fn all(binary: &Binary, spec: &Spec, system: &Binary) -> Vec<String> {
    let mut findings = functions(binary, spec);
    findings.extend(statics(binary, spec));
    findings.extend(code(binary, spec));
    findings.extend(strings(binary, spec, system));
    findings.extend(thread_local(binary, spec, system));
    findings
}
