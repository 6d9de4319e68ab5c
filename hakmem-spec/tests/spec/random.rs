//! Whatever spec is accepted, the runtime can build on what follows from it.

use hakmem_spec::{Header, LAYERS, Plan, Source, Spec, parse};
use proptest::prelude::*;
use std::fmt::Write as _;

/// What `hakmem_runtime::Class` and the runtime's tables rely on.
fn check(spec: &Spec) {
    let geometry = spec.geometry;
    assert!(!spec.classes.is_empty());
    for class in &spec.classes {
        let shape = class.slab;
        assert!(shape.blocks >= 1, "no block of {} in a span", class.size);
        assert!((1..=geometry.max_span_slabs()).contains(&shape.slabs), "{class:?}");
        let bytes = u64::from(shape.slabs) * u64::from(geometry.slab);
        let blocks = u64::from(shape.blocks) * u64::from(class.size);
        assert_eq!(u64::from(shape.first_block_offset) + blocks + u64::from(shape.slack), bytes, "{class:?}");
        // A bit for each 16 bytes of the span.
        assert!(u64::from(shape.blocks) <= bytes / 16, "{class:?}");
        assert!((8..=class.size).contains(&class.usable()), "{class:?}");
        assert!(class.size.is_multiple_of(class.align) && shape.first_block_offset.is_multiple_of(class.align));
        assert_eq!(class.header == Header::RegionId, shape.first_block_offset > 0, "{class:?}");
        assert!(class.batch >= 1, "{class:?}");
    }
    if spec.classes.iter().any(|class| class.size > 2 << 20) {
        return; // Its tables take a while to make.
    }
    let plan = Plan::new(spec);
    for (size, align) in [(1, 1), (plan.largest, 1), (plan.largest, 8), (100, 64), (1025, 8)] {
        if let Some(class_index) = plan.class_for(size as usize, align) {
            let class = plan.classes[class_index];
            assert!(class.usable >= size && class.align as usize >= align, "{size} at {align}: {class:?}");
        }
    }
}

/// A size that may be that of a class: near a power of two, or a part of one, as these are where limits are.
fn size() -> impl Strategy<Value = u64> {
    (3_u32..=25, 0_u64..=8, -1_i64..=1).prop_map(|(bits, eighths, away)| {
        let power = 1_u64 << bits;
        let size = power + power / 8 * eighths;
        let grain = if size > 1024 { 128 } else { 8 };
        (size / grain * grain).saturating_add_signed(away * grain as i64).max(grain)
    })
}

/// The text of an entry without its sizes.
fn policy() -> impl Strategy<Value = String> {
    let layers = prop::sample::select(LAYERS.iter().map(|layer| layer.name).collect::<Vec<_>>());
    let layers = prop::option::of(prop::collection::vec(layers, 1..3));
    (
        layers,
        prop::bool::weighted(0.5),
        prop::option::weighted(0.2, 1_u32..=33),
        prop::option::weighted(0.2, 3_u32..=12),
        prop::option::weighted(0.2, 1_u32..=64),
    )
        .prop_map(|(layers, header, slab_units, align, batch)| {
            let mut text = String::new();
            if let Some(layers) = layers {
                writeln!(text, "layers = {layers:?}").unwrap();
            }
            if header {
                text.push_str("header = \"region-id\"\n");
            }
            if let Some(units) = slab_units {
                writeln!(text, "slab_units = {units}").unwrap();
            }
            if let Some(bits) = align {
                writeln!(text, "align = {}", 1 << bits).unwrap();
            }
            if let Some(batch) = batch {
                writeln!(text, "batch = {batch}").unwrap();
            }
            text
        })
}

/// The text of a spec, most of whose parts are possible.
fn text() -> impl Strategy<Value = String> {
    let entry = (prop::collection::btree_set(size(), 1..5), policy());
    (18_u32..=26, 2_u32..=6, prop::collection::vec(entry, 1..4)).prop_map(|(superslab, slabs, entries)| {
        let mut text = format!(
            "[superslab]\nsize = {}\nslab = {}\n",
            1_u64 << superslab,
            1_u64 << (superslab - slabs).clamp(14, 20)
        );
        // Sizes must ascend through the whole spec.
        let mut above = 0;
        for (sizes, policy) in entries {
            let sizes: Vec<u64> = sizes.into_iter().filter(|&size| size > above).collect();
            let Some(last) = sizes.last() else { continue };
            above = *last;
            writeln!(text, "[[class]]\nsizes = {sizes:?}\n{policy}").unwrap();
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_accepted_spec_has_blocks_in_every_span(text in text()) {
        if let Ok(spec) = parse(&Source::file("classes.toml", text)) {
            check(&spec);
        }
    }
}

/// The limit of a class's size, under each geometry, with everything that takes room in a span.
#[test]
fn sizes_up_to_half_a_superslab() {
    let mut accepted = [0, 0];
    for superslab in 18..=26 {
        for slab in (14..=20).filter(|slab| (2..=6).contains(&(superslab - slab))) {
            for (index, header) in ["none", "region-id"].iter().enumerate() {
                for below in [0, 128, 256, 4096, 8192, 65536] {
                    let size = (1_u64 << (superslab - 1)) - below;
                    let text = format!(
                        "[superslab]\nsize = {}\nslab = {}\n[[class]]\nsize = {size}\nheader = '{header}'\n",
                        1_u64 << superslab,
                        1_u64 << slab
                    );
                    match parse(&Source::file("classes.toml", &*text)) {
                        Ok(spec) => {
                            accepted[index] += 1;
                            check(&spec);
                        }
                        Err(errors) => assert!(below == 0 && index == 1, "{text}{errors:?}"),
                    }
                }
            }
        }
    }
    // All but half a SuperSlab itself.
    assert_eq!(accepted[1], accepted[0] / 6 * 5);
}
