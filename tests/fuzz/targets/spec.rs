//! The text of a spec: reading it and reporting its errors must not panic, and what is accepted has the invariants on
//! which the generated code and the runtime rely.

#![no_main]

use hakmem_spec::{Header, NO_CLASS, Plan, SizeTable, Source, Spec, parse, table};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let source = Source::file("classes.toml", text);
    match parse(&source) {
        Ok(spec) => {
            shapes_are_whole(&spec);
            tables_are_right(&spec);
            assert!(!table(&spec).to_string().is_empty());
        }
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a word");
            errors.iter().for_each(|error| assert!(!error.render(&source).is_empty()));
        }
    }
});

/// What `hakmem_runtime::Class` says of its fields.
fn shapes_are_whole(spec: &Spec) {
    for class in &spec.classes {
        let (shape, geometry) = (class.slab, spec.geometry);
        let bytes = u64::from(shape.slabs) * u64::from(geometry.slab);
        let blocks = u64::from(shape.blocks) * u64::from(class.size);
        assert!(shape.blocks >= 1 && class.batch >= 1 && !class.stack.is_empty(), "{class:?}");
        assert!((1..=geometry.max_span_slabs()).contains(&shape.slabs), "{class:?}");
        assert_eq!(u64::from(shape.first_block_offset) + blocks + u64::from(shape.slack), bytes, "{class:?}");
        assert!(u64::from(shape.blocks) <= bytes / 16, "a bit for each 16 bytes: {class:?}");
        assert!((8..=class.size).contains(&class.usable()), "{class:?}");
        assert!(class.align.is_power_of_two() && class.align <= hakmem_spec::MAX_ALIGN, "{class:?}");
        assert!(class.size.is_multiple_of(class.align) && shape.first_block_offset.is_multiple_of(class.align));
        assert_eq!(class.header == Header::RegionId, shape.first_block_offset > 0, "{class:?}");
    }
}

/// Every entry of every table has the class that a search over the spec finds.
fn tables_are_right(spec: &Spec) {
    let plan = Plan::new(spec);
    assert!(plan.groups.iter().map(|group| group.classes.clone()).flatten().eq(0..plan.classes.len()));
    assert_eq!(plan.classes.len(), spec.classes.len());
    let entry_is_right = |table: &SizeTable, entry: usize| {
        let serves = |class: &&hakmem_spec::Class| {
            class.usable() as usize >= entry * table.granularity as usize && class.align >= table.align
        };
        let found = spec.classes.iter().filter(serves).map(|class| class.size).min();
        let named = table.entries[entry];
        let named = (named != NO_CLASS).then(|| plan.classes[usize::from(named)].size);
        assert_eq!(named, found, "entry {entry} of {} at {}", table.granularity, table.align);
    };
    for table in [&plan.small].into_iter().chain(&plan.aligned).chain(&plan.medium) {
        // The largest tables have 262,144 entries; what is around a class and some between tell all.
        let step = table.entries.len() / 512 + 1;
        let around = plan.classes.iter().map(|class| (class.usable / table.granularity) as usize);
        let around = around.flat_map(|entry| [entry, entry + 1]).filter(|&entry| entry < table.entries.len());
        (0..table.entries.len()).step_by(step).chain(around).for_each(|entry| entry_is_right(table, entry));
    }
}
