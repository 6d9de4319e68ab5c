//! The model of valid specs.

use crate::spec;
use hakmem_spec::{Background, Budget, Free, Geometry, Header, Large, Purge, Refill, Source, Tls, parse, table};

fn sizes(text: &str) -> Vec<u32> {
    spec(text).classes.iter().map(|class| class.size).collect()
}

#[test]
fn everything_but_a_class_may_be_left_out() {
    let spec = spec("class = [{ size = 64 }]");
    assert_eq!(spec.geometry, Geometry { superslab: 2 << 20, slab: 64 << 10 });
    assert_eq!(spec.purge, Purge { delay_ms: Some(500), background: Background::No });
    assert_eq!(spec.large, Large { cache: 1 << 30 });
    assert!(!spec.huge_pages && !spec.crash_report);
    assert_eq!(spec.tls, Tls::Native);
    let class = &spec.classes[0];
    assert_eq!((class.size, class.align, class.batch, class.specialise, class.budget), (64, 64, 32, true, None));
    assert_eq!((class.slab.slabs, class.slab.blocks, class.slab.slack), (1, 1024, 0));
    let layers: Vec<_> = class.stack.iter().map(|layer| (layer.kind.name, layer.limit)).collect();
    assert_eq!(layers, [("unified", 256), ("sll", 512)]);
}

#[test]
fn everything_may_be_given() {
    let spec = spec(
        r#"
huge_pages = true
crash_report = true
tls = "initial-exec"
[superslab]
size = "4 MiB"
slab = 131072
[purge]
delay_ms = "never"
[large]
cache = 0
[defaults]
layers = ["unified", "sll"]
batch = 16
specialise = false
budget = { alloc = 7, free = 8 }
unified = { capacity = 40 }
sll = { high_water = "64 KiB" }
[[class]]
size = 96
align = 16
slab_units = 3
[[class]]
size = "1 KiB"
layers = ["sll"]
batch = 20
specialise = true
budget = "none"
sll = { high_water = 4096 }
"#,
    );
    assert_eq!(spec.geometry, Geometry { superslab: 4 << 20, slab: 128 << 10 });
    assert_eq!((spec.purge.delay_ms, spec.large.cache, spec.huge_pages), (None, 0, true));
    assert!(spec.crash_report);
    assert_eq!(spec.tls, Tls::InitialExec);
    let [first, second] = &spec.classes[..] else { panic!() };
    assert_eq!((first.align, first.batch, first.specialise), (16, 16, false));
    assert_eq!(first.budget, Some(Budget { alloc: 7, free: 8 }));
    assert_eq!((first.slab.slabs, first.slab.blocks, first.slab.slack), (3, 4096, 0));
    assert_eq!(first.stack.iter().map(|layer| layer.limit).collect::<Vec<_>>(), [40, 682]);
    assert_eq!((second.size, second.batch, second.specialise, second.budget), (1024, 20, true, None));
    assert_eq!(second.stack.iter().map(|layer| layer.limit).collect::<Vec<_>>(), [4]);
}

#[test]
fn purging_in_the_background_may_be_set() {
    let purge = |section: &str| spec(&format!("purge = {{ {section} }}\n[[class]]\nsize = 64")).purge;
    assert_eq!(purge("background = true"), Purge { delay_ms: Some(500), background: Background::OnSlowPath });
    assert_eq!(
        purge("background = true, delay_ms = 1"),
        Purge { delay_ms: Some(1), background: Background::OnSlowPath }
    );
    let with_threads = Purge { delay_ms: Some(500), background: Background::WithThreads };
    assert_eq!(purge("background = 'with-threads'"), with_threads);
    assert_eq!(purge("background = false, delay_ms = 0"), Purge { delay_ms: Some(0), background: Background::No });
    assert_eq!(purge("background = false, delay_ms = 'never'"), Purge { delay_ms: None, background: Background::No });
}

#[test]
fn policies_are_off_by_default() {
    let class = &spec("class = [{ size = 64 }]").classes[0];
    assert_eq!((class.refill, class.free), (Refill::FrontDirect, Free::Immediate));
    assert_eq!((class.header, class.stats), (Header::None, false));
}

#[test]
fn a_class_overrides_the_policies_of_the_defaults() {
    let spec = spec(
        r"
[defaults]
refill = 'legacy'
free = 'deferred'
header = 'region-id'
stats = true
[[class]]
size = 64
[[class]]
size = 72
refill = 'front-direct'
free = 'immediate'
header = 'none'
stats = false
[[class]]
size = 80
refill = 'background'
",
    );
    let policies: Vec<_> =
        spec.classes.iter().map(|class| (class.refill, class.free, class.header, class.stats)).collect();
    assert_eq!(
        policies,
        [
            (Refill::Legacy, Free::Deferred, Header::RegionId, true),
            (Refill::FrontDirect, Free::Immediate, Header::None, false),
            (Refill::Background, Free::Deferred, Header::RegionId, true),
        ]
    );
}

#[test]
fn a_header_costs_eight_bytes_of_a_request_and_a_block_of_a_span() {
    let spec = spec("class = [{ sizes = [16, 24, 64, 1024, 1152, 4096], header = 'region-id' }]");
    let usable: Vec<_> = spec.classes.iter().map(|class| (class.size, class.usable())).collect();
    assert_eq!(usable, [(16, 8), (24, 16), (64, 56), (1024, 1016), (1152, 1024), (4096, 3968)]);
    // The first block begins one alignment behind the start of the span.
    for class in &spec.classes {
        assert_eq!(class.slab.first_block_offset, class.align);
        assert_eq!(class.slab.first_block_offset + class.slab.blocks * class.size + class.slab.slack, 64 << 10);
    }
    assert_eq!(spec.classes[3].slab.blocks, 63);
    assert_eq!(crate::spec("class = [{ size = 1024 }]").classes[0].slab.first_block_offset, 0);
}

#[test]
fn the_batch_is_limited_by_the_first_layer_that_takes_part_in_refills() {
    let batch =
        |layers: &str| spec(&format!("class = [{{ size = 64, layers = {layers}, fast = {{ capacity = 20 }} }}]"));
    assert_eq!(batch("['fast', 'unified', 'sll']").classes[0].batch, 20);
    assert_eq!(batch("['ultrahot', 'fast', 'sll']").classes[0].batch, 20);
    assert_eq!(batch("['unified', 'fast']").classes[0].batch, 32);
    let spec =
        spec("[[class]]\nsize = 64\nlayers = ['ultrahot']\n[[class]]\nsize = 72\nlayers = ['ultrahot', 'sll']\n");
    // Alone it is what a refill fills; in front of a list without a bound nothing bounds the batch.
    assert_eq!(spec.classes.iter().map(|class| class.batch).collect::<Vec<_>>(), [2, 32]);
}

#[test]
fn limits_of_all_layers_follow_from_the_size() {
    let derived = |layer: &str| {
        let spec = spec(&format!("class = [{{ sizes = [8, 128, 1024, 4096], layers = ['{layer}'] }}]"));
        spec.classes.iter().map(|class| class.stack[0].limit).collect::<Vec<_>>()
    };
    assert_eq!(derived("ring"), [63, 63, 8, 2]);
    assert_eq!(derived("fast"), [32, 32, 4, 2]);
    assert_eq!(derived("heapv2"), [64, 64, 8, 2]);
    for like_unified in ["unified", "sfc", "c23", "hot"] {
        assert_eq!(derived(like_unified), [256, 128, 16, 4], "{like_unified}");
    }
    assert_eq!(derived("quarantine"), [200, 128, 16, 4]);
    assert_eq!(derived("ultrahot"), [2, 2, 2, 2]);
    assert_eq!(derived("pages"), [64, 64, 16, 4]);
}

#[test]
fn ranges_expand() {
    assert_eq!(sizes("class = [{ sizes = { from = 16, to = 64, step = 16 } }]"), [16, 32, 48, 64]);
    assert_eq!(
        sizes("class = [{ sizes = { from = 160, to = 1024, steps_per_doubling = 4 } }]"),
        [160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024]
    );
    assert_eq!(sizes("class = [{ sizes = { from = 8, to = 64, steps_per_doubling = 1 } }]"), [8, 16, 32, 64]);
    assert_eq!(sizes("class = [{ sizes = { from = 48, to = 48, steps_per_doubling = 2 } }]"), [48]);
    assert_eq!(sizes("class = [{ sizes = ['2 KiB', 3072] }]"), [2048, 3072]);
}

#[test]
fn the_span_of_a_class_is_that_of_its_size() {
    let text = "[[class]]\nsize = 8\n[[class]]\nsizes = [16, 24]\n";
    let spans: Vec<_> = spec(text).classes.iter().map(|class| text[class.span.clone()].to_owned()).collect();
    assert_eq!(spans, ["8", "16", "24"]);
}

#[test]
fn alignment_follows_from_the_size() {
    let spec = spec("class = [{ sizes = [8, 24, 48, 96, 1024, 8192, 12288] }]");
    assert_eq!(spec.classes.iter().map(|class| class.align).collect::<Vec<_>>(), [8, 8, 16, 32, 1024, 4096, 4096]);
}

#[test]
fn limits_and_batches_follow_from_the_size() {
    let spec = spec("class = [{ sizes = [8, 128, 256, 1024, 4096, 262144] }]");
    let derived: Vec<_> =
        spec.classes.iter().map(|class| (class.stack[0].limit, class.stack[1].limit, class.batch)).collect();
    assert_eq!(derived, [(256, 4096, 32), (128, 256, 32), (64, 128, 16), (16, 32, 4), (4, 8, 1), (2, 1, 1)]);
    let explicit = crate::spec("class = [{ size = 8, unified = { capacity = 5 } }]");
    assert_eq!(explicit.classes[0].batch, 5);
}

#[test]
fn a_class_overrides_one_parameter_and_inherits_the_others() {
    let spec = spec(
        "[defaults]\nunified = { capacity = 40 }\nsll = { high_water = 800 }\n[[class]]\nsize = 8\nunified = { capacity = 50 }\n",
    );
    assert_eq!(spec.classes[0].stack.iter().map(|layer| layer.limit).collect::<Vec<_>>(), [50, 100]);
}

#[test]
fn defaults_may_set_layers_that_only_some_classes_use() {
    let spec = spec(
        "[defaults]\nlayers = ['sll']\nunified = { capacity = 9 }\n[[class]]\nsize = 8\n[[class]]\nsize = 16\nlayers = ['unified']\n",
    );
    assert_eq!(spec.classes[1].stack[0].limit, 9);
}

#[test]
fn windows_line_endings_and_a_byte_order_mark_are_accepted() {
    assert_eq!(sizes("\u{feff}[[class]]\r\nsize = 8\r\n"), [8]);
}

#[test]
fn the_default_spec_is_valid() {
    let source = Source::default_spec();
    let spec = parse(&source).unwrap_or_else(|errors| panic!("{}", errors[0].render(&source)));
    assert_eq!(spec.classes.len(), 40);
    for class in &spec.classes {
        assert_eq!(class.specialise, class.size <= 1024);
        assert_eq!(class.budget.is_some(), class.size <= 1024);
        assert!(class.slab.blocks >= 2);
        // A slab holds no more blocks than its bitmap has bits, one for each 16 bytes.
        assert!(class.size < 16 || class.slab.slack * 8 <= class.slab.slabs * spec.geometry.slab, "{class:?}");
    }
}

#[test]
fn the_table_lists_the_classes() {
    let text = table(&spec("class = [{ sizes = [8, 24, 10240] }]")).to_string();
    assert_eq!(
        text,
        "3 classes; SuperSlabs of 2 MiB in slabs of 64 KiB
 size  align  slabs  blocks  tail %  waste %  batch  layers
    8      8      1    4096    50.0     87.5     32  unified 256, sll 4096
   24      8      1    2730     0.0     62.5     32  unified 256, sll 1365
10240   2048      1       6     6.2     99.8      1  unified 2, sll 3
"
    );
}

#[test]
fn the_table_counts_what_a_header_costs_as_waste() {
    let text = table(&spec("class = [{ sizes = [16, 24], header = 'region-id' }]")).to_string();
    let rows: Vec<Vec<&str>> = text.lines().skip(2).map(|row| row.split_whitespace().collect()).collect();
    // A request of one byte in 16; one of 9 bytes, which the class below cannot serve, in 24.
    assert_eq!((rows[0][5], rows[1][5]), ("93.8", "62.5"));
}

#[test]
fn pinned_changes_nothing_else() {
    let spec = spec("class = [{ size = 16 }, { sizes = [24, 32], pinned = true }]");
    assert_eq!(spec.classes.iter().map(|class| class.pinned).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(spec.classes[1].stack, self::spec("class = [{ size = 24 }]").classes[0].stack);
}
