//! The tables against the function they stand for.

use crate::spec;
use hakmem_spec::{Free, Header, NO_SLOT, Plan, Refill, Source, Spec, parse};

/// Asserts that each table finds what the reference does, for each size it covers.
fn check(spec: &Spec) -> Plan {
    let plan = Plan::new(spec);
    let largest = spec.classes.last().unwrap().usable() as usize;
    for (class, &slot) in plan.slot_of_class.iter().enumerate() {
        assert_eq!(plan.slots[slot].class, class);
        assert_eq!(plan.slots[slot].size, spec.classes[class].size);
        assert_eq!(plan.slots[slot].usable, spec.classes[class].usable());
        assert!(plan.groups[plan.slots[slot].group].slots.contains(&slot));
    }
    assert_eq!(plan.small.max_size() as usize, largest.min(1024));
    for table in std::iter::once(&plan.small).chain(&plan.aligned) {
        for size in 0..=table.max_size() as usize {
            assert_eq!(table.slot(size), plan.slot_for(size, table.align as usize), "{size} at {}", table.align);
        }
        assert_eq!(table.slot(table.max_size() as usize + 1), None);
    }
    assert_eq!(plan.medium.is_some(), largest > 1024);
    if let Some(medium) = &plan.medium {
        assert_eq!(medium.max_size() as usize, largest);
        for size in 1025..=largest {
            assert_eq!(medium.slot(size), plan.slot_for(size, medium.align as usize), "{size}");
        }
        assert_eq!(medium.slot(largest + 1), None);
    }
    plan
}

#[test]
fn the_default_spec() {
    let spec = parse(&Source::default_spec()).unwrap();
    let plan = check(&spec);
    // The groups differ in `specialise` only, and the larger classes come last, so slots are classes.
    assert_eq!(plan.groups.len(), 2);
    assert_eq!(plan.slot_of_class, (0..60).collect::<Vec<_>>());
    assert_eq!(plan.small.entries.len(), 129);
    assert_eq!(plan.small.align, 8);
    assert!(!plan.small.entries.contains(&NO_SLOT));
    let medium = plan.medium.as_ref().unwrap();
    assert_eq!((medium.granularity, medium.align, medium.entries.len()), (128, 256, 2049));
    assert_eq!(plan.slot_for(0, 1), Some(0));
    assert_eq!(plan.slots[plan.slot_for(40, 16).unwrap()].size, 48);
    assert_eq!(plan.slots[plan.slot_for(24, 64).unwrap()].size, 64);
    assert_eq!(plan.slots[plan.slot_for(1025, 8).unwrap()].size, 1280);
    assert_eq!(plan.slots[plan.slot_for(100, 4096).unwrap()].size, 4096);
    assert_eq!(plan.slot_for(100, 8192), None);
    assert_eq!(plan.slot_for(256 * 1024 + 1, 8), None);
}

#[test]
fn one_stack_keeps_the_order_of_the_classes() {
    let plan = check(&spec("class = [{ sizes = [16, 48, 96] }]"));
    assert_eq!(plan.groups.len(), 1);
    assert_eq!(plan.slot_of_class, [0, 1, 2]);
    assert_eq!((plan.small.align, plan.small.entries.len()), (16, 13));
    assert!(plan.medium.is_none());
}

#[test]
fn sizes_without_a_class_of_the_alignment_have_no_slot() {
    let plan = check(&spec("class = [{ sizes = [8, 24, 32, 40] }]"));
    let [sixteen, _, sixty_four, _] = &plan.aligned;
    assert_eq!(sixteen.entries, [2, 2, 2, 2, 2, NO_SLOT]);
    assert!(sixty_four.entries.iter().all(|&entry| entry == NO_SLOT));
    assert_eq!(sixteen.slot(33), None);
}

#[test]
fn slots_are_group_major() {
    let plan = check(&spec(
        "[[class]]\nsize = 8\n[[class]]\nsize = 16\nlayers = ['sll']\n[[class]]\nsize = 24\n[[class]]\nsize = 2048\nlayers = ['sll']\n",
    ));
    assert_eq!(plan.groups.iter().map(|group| group.slots.clone()).collect::<Vec<_>>(), [0..2, 2..4]);
    assert_eq!(plan.slots.iter().map(|slot| slot.size).collect::<Vec<_>>(), [8, 24, 16, 2048]);
    assert_eq!(plan.slot_of_class, [0, 2, 1, 3]);
}

#[test]
fn limits_do_not_part_a_group() {
    let plan = check(&spec(
        "[[class]]\nsize = 8\n[[class]]\nsize = 16\nunified = { capacity = 9 }\nbudget = { alloc = 1, free = 1 }\n",
    ));
    assert_eq!(plan.groups.len(), 1);
}

#[test]
fn policies_part_groups() {
    for policy in
        ["refill = 'legacy'", "refill = 'background'", "free = 'deferred'", "header = 'region-id'", "stats = true"]
    {
        let plan = check(&spec(&format!(
            "[[class]]\nsize = 16\n[[class]]\nsize = 32\n{policy}\n[[class]]\nsize = 48\n[[class]]\nsize = 64\n{policy}\n"
        )));
        let groups: Vec<Vec<u32>> = plan
            .groups
            .iter()
            .map(|group| plan.slots[group.slots.clone()].iter().map(|slot| slot.size).collect())
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
fn a_policy_that_is_the_default_does_not_part_a_group() {
    let plan = check(&spec(
        "[[class]]\nsize = 8\n[[class]]\nsize = 16\nrefill = 'front-direct'\nfree = 'immediate'\nheader = 'none'\nstats = false\n",
    ));
    assert_eq!(plan.groups.len(), 1);
}

#[test]
fn a_header_takes_a_request_to_the_next_class() {
    let text = |header| format!("[[class]]\nsizes = {{ from = 16, to = 128, step = 8 }}\nheader = '{header}'\n");
    let class = |plan: &Plan, size| plan.slot_for(size, 8).map(|slot| plan.slots[slot].size);
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
    assert_eq!(mixed.slot_for(56, 64).map(|slot| mixed.slots[slot].size), Some(64));
}

#[test]
fn a_header_above_1024_costs_a_class_128_bytes() {
    let plan = check(&spec("[[class]]\nsizes = [1024, 1152, 1280, 2048]\nheader = 'region-id'\n"));
    assert_eq!(plan.slots.iter().map(|slot| slot.usable).collect::<Vec<_>>(), [1016, 1024, 1152, 1920]);
    let class = |size| plan.slot_for(size, 8).map(|slot| plan.slots[slot].size);
    assert_eq!(
        [1016, 1017, 1024, 1025, 1920, 1921].map(class),
        [1024, 1152, 1152, 1280, 2048, 0].map(|size| (size > 0).then_some(size))
    );
}

#[test]
fn gaps_around_1024_are_bridged() {
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
    assert_eq!(plan.slots.len(), 254);
    assert_eq!(plan.medium.unwrap().slot(17152), Some(253));
}
