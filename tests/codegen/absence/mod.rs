//! A layer or policy that nobody chose cannot exist in the binary: the proof.
//!
//! For each there is a program whose spec names it and nothing else. It is linked as any release build, and then searched
//! for everything else: symbols, statics, strings, thread-local memory, and (by the line tables) single instructions,
//! which tell of functions that were inlined. A program that leaks on purpose shows that the search finds what is there.

mod binary;
mod checks;
mod samples;

use binary::Binary;
use hakmem_spec::LAYERS;
use samples::{LEAK, POLICIES, Policy, Program, Spec};
use std::fmt::Write as _;
use std::process::Command;
use std::sync::LazyLock;

/// Every program, and what it was linked to.
static BINARIES: LazyLock<Vec<(Program, Binary)>> = LazyLock::new(|| {
    let programs = samples::programs();
    let folder = samples::build(&programs);
    let names: Vec<&'static str> = LAYERS.iter().map(|kind| kind.name).collect();
    programs
        .into_iter()
        .map(|program| {
            let path = folder.join(&program.name);
            let status = Command::new(&path).status().expect("the program starts");
            assert!(status.success(), "{} fails: {status}", program.name);
            let binary = Binary::read(&path, &names);
            (program, binary)
        })
        .collect()
});

/// The binary of that name.
fn binary(name: &str) -> &'static Binary {
    BINARIES.iter().map(|(_, binary)| binary).find(|binary| binary.name == name).expect("a program of that name")
}

/// The programs that have nothing but their spec.
fn honest() -> impl Iterator<Item = (&'static Spec, &'static Binary)> {
    let honest = BINARIES.iter().filter(|(program, _)| program.name != LEAK);
    honest.filter_map(|(program, binary)| Some((program.spec.as_ref()?, binary)))
}

/// The spec of the leaking program. The checks are told that it is others' too, to see what they find there.
const UNIFIED: Spec = Spec { layers: &["unified"], policy: None };

#[test]
fn what_a_spec_does_not_name_is_not_in_the_binary() {
    let mut report = String::new();
    for (spec, binary) in honest() {
        // With --nocapture, the numbers.
        println!("{}: {} bytes of text, {} in each thread", binary.name, binary.text(), binary.state());
        let mut findings = checks::all(binary, spec, self::binary("system"));
        findings.extend(checks::text(binary));
        for finding in findings {
            writeln!(report, "{}: {finding}", binary.name).unwrap();
        }
    }
    assert!(report.is_empty(), "found what the specs do not name:\n{report}");
}

/// Nothing above passes for want of eyes: in each binary the checks see what its spec names, if they are told that it
/// names something else.
#[test]
fn what_a_spec_names_is_in_the_binary() {
    let other = Spec { layers: &[], policy: None };
    for (spec, binary) in honest() {
        let code = checks::code(binary, &other).join("\n");
        for layer in spec.layers {
            assert!(code.contains(&format!("code of cache::{layer}:")), "{}: {code}", binary.name);
        }
        for module in spec.policy.into_iter().flat_map(|Policy { modules, .. }| *modules) {
            assert!(code.contains(&format!("code of {module}:")), "{}: {code}", binary.name);
        }
        for module in ["backend::region", "slab::remote", "heap::acquire"] {
            assert!(binary.code.contains_key(module), "{}: no line of {module}", binary.name);
        }
        assert_eq!(binary.names, spec.layers.iter().copied().collect(), "{}", binary.name);
    }
    assert!(binary("system").names.is_empty(), "std has a string that is the name of a layer");
    assert!(!checks::functions(binary("with_heapv2"), &UNIFIED).is_empty());
    assert!(!checks::functions(binary("with_hot"), &UNIFIED).is_empty());
    assert!(!checks::statics(binary("with_background"), &UNIFIED).is_empty());
    assert!(!checks::statics(binary("with_purger"), &UNIFIED).is_empty());
    assert!(!checks::statics(binary("with_heapv2"), &UNIFIED).is_empty());
    assert!(!checks::statics(binary("with_crash_report"), &UNIFIED).is_empty());
    for policy in POLICIES {
        let texts = checks::strings(binary(&format!("with_{}", policy.name)), &UNIFIED, binary("system"));
        let texts: Vec<_> =
            texts.iter().filter(|text| policy.layers.iter().all(|layer| !text.contains(layer))).collect();
        assert_eq!(texts.len(), policy.texts.len(), "{}: {texts:?}", policy.name);
    }
}

#[test]
fn a_leak_is_reported() {
    let leak = binary(LEAK);
    let report = checks::all(leak, &UNIFIED, binary("system")).join("\n");
    println!("{report}");
    for finding in [
        "function of worker: <hakmem_runtime::worker::Worker>::start",
        "static of worker, 8 bytes: hakmem_runtime::worker::NEWEST",
        // Inlined as a whole: no symbol of it is left.
        "code of cache::ring: line ",
        "code of background: line ",
        "text \"ring\"",
        "thread-local: the program has ",
    ] {
        assert!(report.contains(finding), "not reported: {finding}\n{report}");
    }
    // The generated struct is as it should be; that of another program is not.
    assert!(!report.contains("thread-local: the generated struct"), "{report}");
    let larger = checks::thread_local(binary("with_ring"), &UNIFIED, binary("system"));
    assert!(larger[0].starts_with("thread-local: the generated struct has 576 bytes, not 64"), "{larger:?}");
    assert!(!checks::text_of(leak, "with_unified").is_empty(), "{} bytes of text", leak.text());
}

/// Rounded to cache lines, a state that grows by a word would not always show.
#[test]
fn states_are_as_large_as_the_table_says() {
    use hakmem::__private::{
        C23, Fast, HeapV2, Hot, Pages, Quarantine, Ring, Sfc, Sll, UltraHot, Unified, region_shift,
    };
    let sizes = [
        ("unified", size_of::<Unified>()),
        ("sll", size_of::<Sll>()),
        ("ring", size_of::<Ring<64>>()),
        ("fast", size_of::<Fast<32>>()),
        ("sfc", size_of::<Sfc<256>>()),
        ("c23", size_of::<C23>()),
        ("ultrahot", size_of::<UltraHot<2>>()),
        ("heapv2", size_of::<HeapV2>()),
        ("hot", size_of::<Hot>()),
        ("pages", size_of::<Pages<16, { region_shift(2 << 20) }, true>>()),
        ("quarantine", size_of::<Quarantine<256>>()),
    ];
    assert_eq!(sizes.map(|(name, bytes)| (name, bytes as u64)), checks::STATES);
    assert!(LAYERS.iter().map(|kind| kind.name).eq(sizes.map(|(name, _)| name)), "a layer without a row");
}
