//! Source files that are generated from the catalogue. `BLESS=1 cargo test -p hakmem-spec catalogue` writes them.

use std::fmt::Write as _;
use std::path::Path;

use hakmem_spec::{LAYERS, LayerKind, Source, parse};

/// The stack that shows a layer's hit path: the layer alone if it takes every block, otherwise over `sll`.
fn stack(layer: &LayerKind) -> Vec<&'static str> {
    match layer {
        LayerKind { inline: true, .. } => vec![layer.name, "unified", "sll"],
        LayerKind { bounded: true, .. } => vec![layer.name, "sll"],
        _ => vec![layer.name],
    }
}

/// The text of `examples/inspect/layers.rs`.
fn inspected_layers() -> String {
    let mut text = String::from(
        "//! The hit path of each layer as symbols: `cargo asm --example inspect ring_alloc`.\n\
         //!\n\
         //! The allocators have the same classes and differ in their layers only. This file is generated from the catalogue\n\
         //! of layers: `BLESS=1 cargo test -p hakmem-spec catalogue` writes it.\n\n\
         crate::paths::paths! {\n",
    );
    for LayerKind { name, .. } in LAYERS {
        let _ = writeln!(text, "    {name}::Heap: {name}_alloc {name}_free {name}_alloc_any {name}_free_any,");
    }
    text += "}\n";
    for layer in LAYERS {
        let spec = format!(
            "[defaults]\nlayers = {:?}\n\n[[class]]\nsizes = {{ from = 16, to = 1024, steps_per_doubling = 2 }}\n",
            stack(layer)
        );
        assert!(parse(&Source::file("classes.toml", &*spec)).is_ok(), "{spec}");
        let indent = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("            {line}\n") };
        let lines: String = spec.lines().map(indent).collect();
        let _ = write!(
            text,
            "\nmod {} {{\n    hakmem::allocator! {{\n        pub(super) struct Heap {{\n{lines}        }}\n    }}\n}}\n",
            layer.name
        );
    }
    text
}

#[test]
fn the_catalogue_has_an_allocator_for_each_layer_in_examples_inspect() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/inspect/layers.rs");
    if !file.exists() {
        eprintln!("skipped: {} is in the repository only", file.display());
        return;
    }
    let text = inspected_layers();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, text).expect("the file can be written");
        return;
    }
    let found = std::fs::read_to_string(&file).expect("the file can be read");
    assert!(
        found == text,
        "{} is not what the catalogue generates: run `BLESS=1 cargo test -p hakmem-spec catalogue`",
        file.display()
    );
}
