//! Plans: groups, and size tables compared with a search.

use crate::spec;
use hakmem_spec::{Free, Header, NO_CLASS, Plan, Refill, Source, Spec, parse};

/// Asserts that each size table finds the same class as `Plan::class_for`, for each size it covers.
fn check(spec: &Spec) -> Plan {
    let plan = Plan::new(spec);
    let largest = spec.classes.last().unwrap().usable() as usize;
    for (class, &index) in plan.index_of_class.iter().enumerate() {
        assert_eq!(plan.classes[index].spec_index, class);
        assert_eq!(plan.classes[index].size, spec.classes[class].size);
        assert_eq!(plan.classes[index].usable, spec.classes[class].usable());
        assert!(plan.groups[plan.classes[index].group].classes.contains(&index));
    }
    assert_eq!(plan.small.max_size() as usize, largest.min(1024));
    for table in std::iter::once(&plan.small).chain(&plan.aligned) {
        for size in 0..=table.max_size() as usize {
            assert_eq!(
                table.class_index(size),
                plan.class_for(size, table.align as usize),
                "{size} at {}",
                table.align
            );
        }
        assert_eq!(table.class_index(table.max_size() as usize + 1), None);
    }
    assert_eq!(plan.medium.is_some(), largest > 1024);
    if let Some(medium) = &plan.medium {
        assert_eq!(medium.max_size() as usize, largest);
        for size in 1025..=largest {
            assert_eq!(medium.class_index(size), plan.class_for(size, medium.align as usize), "{size}");
        }
        assert_eq!(medium.class_index(largest + 1), None);
    }
    plan
}

#[test]
fn the_default_spec() {
    let spec = parse(&Source::default_spec()).unwrap();
    let plan = check(&spec);
    // The groups differ in `specialise` only, and the larger classes come last, so class indices are those of the spec.
    assert_eq!(plan.groups.len(), 2);
    assert_eq!(plan.index_of_class, (0..40).collect::<Vec<_>>());
    assert_eq!(plan.small.entries.len(), 129);
    assert_eq!(plan.small.align, 8);
    assert!(!plan.small.entries.contains(&NO_CLASS));
    let medium = plan.medium.as_ref().unwrap();
    assert_eq!((medium.granularity, medium.align, medium.entries.len()), (128, 256, 65));
    assert_eq!(plan.class_for(0, 1), Some(0));
    assert_eq!(plan.classes[plan.class_for(40, 16).unwrap()].size, 48);
    assert_eq!(plan.classes[plan.class_for(24, 64).unwrap()].size, 64);
    assert_eq!(plan.classes[plan.class_for(1025, 8).unwrap()].size, 1280);
    assert_eq!(plan.classes[plan.class_for(100, 4096).unwrap()].size, 4096);
    assert_eq!(plan.class_for(100, 8192), None);
    assert_eq!(plan.class_for(8 * 1024 + 1, 8), None);
}

#[test]
fn one_stack_keeps_the_order_of_the_classes() {
    let plan = check(&spec("class = [{ sizes = [16, 48, 96] }]"));
    assert_eq!(plan.groups.len(), 1);
    assert_eq!(plan.index_of_class, [0, 1, 2]);
    assert_eq!((plan.small.align, plan.small.entries.len()), (16, 13));
    assert!(plan.medium.is_none());
}

#[test]
fn sizes_without_a_class_of_the_alignment_have_no_class() {
    let plan = check(&spec("class = [{ sizes = [8, 24, 32, 40] }]"));
    let [sixteen, _, sixty_four, _] = &plan.aligned;
    assert_eq!(sixteen.entries, [2, 2, 2, 2, 2, NO_CLASS]);
    assert!(sixty_four.entries.iter().all(|&entry| entry == NO_CLASS));
    assert_eq!(sixteen.class_index(33), None);
}

#[test]
fn classes_are_ordered_by_group() {
    let plan = check(&spec(
        "[[class]]\nsize = 8\n[[class]]\nsize = 16\nlayers = ['sll']\n[[class]]\nsize = 24\n[[class]]\nsize = 2048\nlayers = ['sll']\n",
    ));
    assert_eq!(plan.groups.iter().map(|group| group.classes.clone()).collect::<Vec<_>>(), [0..2, 2..4]);
    assert_eq!(plan.classes.iter().map(|class| class.size).collect::<Vec<_>>(), [8, 24, 16, 2048]);
    assert_eq!(plan.index_of_class, [0, 2, 1, 3]);
}

#[test]
fn limits_do_not_split_a_group() {
    let plan = check(&spec(
        "[[class]]\nsize = 8\n[[class]]\nsize = 16\nunified = { capacity = 9 }\nbudget = { alloc = 1, free = 1 }\n",
    ));
    assert_eq!(plan.groups.len(), 1);
}

#[test]
fn policies_split_groups() {
    for policy in
        ["refill = 'legacy'", "refill = 'background'", "free = 'deferred'", "header = 'region-id'", "stats = true"]
    {
        let plan = check(&spec(&format!(
            "[[class]]\nsize = 16\n[[class]]\nsize = 32\n{policy}\n[[class]]\nsize = 48\n[[class]]\nsize = 64\n{policy}\n"
        )));
        let groups: Vec<Vec<u32>> = plan
            .groups
            .iter()
            .map(|group| plan.classes[group.classes.clone()].iter().map(|class| class.size).collect())
            .collect();
        assert_eq!(groups, [[16, 48], [32, 64]], "{policy}");
        assert!(plan.groups[0].layers == plan.groups[1].layers);
    }
    let group = &check(&spec(
        "[[class]]\nsize = 16\nrefill = 'legacy'\nfree = 'deferred'\nheader = 'region-id'\nstats = true\n",
    ))
    .groups[0];
    assert_eq!((group.refill, group.free), (Refill::Legacy, Free::Deferred));
    assert_eq!((group.header, group.stats), (Header::RegionId, true));
}

#[test]
fn a_policy_written_as_the_default_does_not_split_a_group() {
    let plan = check(&spec(
        "[[class]]\nsize = 8\n[[class]]\nsize = 16\nrefill = 'front-direct'\nfree = 'immediate'\nheader = 'none'\nstats = false\n",
    ));
    assert_eq!(plan.groups.len(), 1);
}

#[test]
fn a_header_moves_a_request_to_the_next_class() {
    let text = |header| format!("[[class]]\nsizes = {{ from = 16, to = 128, step = 8 }}\nheader = '{header}'\n");
    let class = |plan: &Plan, size| plan.class_for(size, 8).map(|index| plan.classes[index].size);
    let without = check(&spec(&text("none")));
    assert_eq!([64, 65, 128].map(|size| class(&without, size)), [Some(64), Some(72), Some(128)]);
    let with = check(&spec(&text("region-id")));
    assert_eq!([56, 57, 64, 120].map(|size| class(&with, size)), [Some(64), Some(72), Some(72), Some(128)]);
    assert_eq!(class(&with, 121), None);
    assert_eq!(with.small.max_size(), 120);
    // The class of 64 alone has one: a request of 64 goes to the class of 72.
    let mixed =
        check(&spec("[[class]]\nsize = 56\n[[class]]\nsize = 64\nheader = 'region-id'\n[[class]]\nsize = 72\n"));
    assert_eq!([56, 57, 64].map(|size| class(&mixed, size)), [Some(56), Some(72), Some(72)]);
    // Its usable size is the one of the class below, so that it serves no request at ordinary alignments.
    assert_eq!(mixed.class_for(56, 64).map(|index| mixed.classes[index].size), Some(64));
}

#[test]
fn a_header_above_1024_costs_a_class_128_bytes() {
    let plan = check(&spec("[[class]]\nsizes = [1024, 1152, 1280, 2048]\nheader = 'region-id'\n"));
    assert_eq!(plan.classes.iter().map(|class| class.usable).collect::<Vec<_>>(), [1016, 1024, 1152, 1920]);
    let class = |size| plan.class_for(size, 8).map(|index| plan.classes[index].size);
    assert_eq!(
        [1016, 1017, 1024, 1025, 1920, 1921].map(class),
        [1024, 1152, 1152, 1280, 2048, 0].map(|size| (size > 0).then_some(size))
    );
}

#[test]
fn sizes_around_1024_without_a_class_go_to_the_next() {
    check(&spec("class = [{ sizes = [1000] }]"));
    check(&spec("class = [{ sizes = [1000, 1152] }]"));
    check(&spec("class = [{ sizes = [4096] }]"));
    check(&spec("class = [{ sizes = [1024, 1152, 1280, 524288, 1048576] }]"));
    let plan = check(&spec("[[class]]\nsize = 8\n[[class]]\nsize = 2048\nalign = 8\n[[class]]\nsize = 4096\n"));
    assert_eq!(plan.medium.unwrap().align, 8);
}

#[test]
fn the_most_classes_fit() {
    let plan = check(&spec(
        "[superslab]\nsize = '64 MiB'\nslab = '1 MiB'\n[[class]]\nsizes = { from = 8, to = 1024, step = 8 }\n[[class]]\nsizes = { from = 1152, to = 17152, step = 128 }\n",
    ));
    assert_eq!(plan.classes.len(), 254);
    assert_eq!(plan.medium.unwrap().class_index(17152), Some(253));
}

#[test]
fn runs_expand_to_the_entries() {
    let source = Source::default_spec();
    let mixed = "[[class]]\nsizes = [8, 16, 24, 48]\n[[class]]\nsizes = { from = 64, to = 4096, steps_per_doubling = 1 }\n\
                 layers = ['heapv2']\n[[class]]\nsize = '64 KiB'\n";
    for spec in [parse(&source).unwrap(), crate::spec(mixed), crate::spec("class = [{ size = 8 }]")] {
        let plan = Plan::new(&spec);
        for table in [&plan.small].into_iter().chain(&plan.aligned).chain(&plan.medium) {
            let runs = table.runs();
            let mut expanded = Vec::new();
            for &(last, class_index) in &runs {
                assert!(last as usize >= expanded.len(), "no run is empty");
                expanded.resize(last as usize + 1, class_index);
            }
            assert_eq!(expanded, table.entries);
            assert!(runs.windows(2).all(|pair| pair[0].1 != pair[1].1), "neighbours differ");
        }
    }
}
