//! Generated code means the same wherever the macro is invoked: without a prelude, beside any names, under any attribute, in
//! another macro.

use crate::fixtures::Project;

/// A spec with everything that generated code may differ by.
const EVERYTHING: &str = r#"
tls = "TLS"
huge_pages = true
crash_report = true

[purge]
delay_ms = 100
background = BACKGROUND

[[class]]
sizes = [16, 32]

[[class]]
size = 64
layers = ["ultrahot", "ring", "sll"]
stats = true

[[class]]
size = 128
layers = ["pages"]

[[class]]
size = 160
refill = "legacy"
free = "deferred"

[[class]]
sizes = [256, 4096]
layers = ["fast", "sfc"]
header = "region-id"

[[class]]
size = 8192
layers = ["heapv2"]
specialise = false
"#;

fn everything(tls: &str, background: bool) -> String {
    EVERYTHING.replace("TLS", tls).replace("BACKGROUND", &background.to_string())
}

/// As it would be in a crate of kernel style: `#![no_implicit_prelude]`, where even `Option` and `derive` are names that
/// somebody has to bring.
#[test]
fn no_prelude_is_needed() {
    for edition in ["2018", "2021", "2024"] {
        let project = Project::new(&format!("no_prelude_{edition}"), edition, "hakmem");
        project.write("native.toml", &everything("native", true));
        project.write("word.toml", &everything("initial-exec", false));
        project.write("broken.toml", "[[class]]\nsize = 20\n");
        let source = r#"
#![no_implicit_prelude]

mod native {
    ::hakmem::allocator! {
        pub(crate) struct Heap = "native.toml";
    }
}

mod word {
    ::hakmem::allocator! {
        pub(crate) struct Heap = "word.toml";
    }
}

mod default {
    ::hakmem::allocator! {
        pub(crate) struct Heap;
    }
}

::hakmem::export_malloc!(word::Heap);

#[global_allocator]
static HEAP: native::Heap = native::Heap;

fn main() {
    let block = ::std::boxed::Box::new(7_u64);
    ::std::println!("{} {}", native::Heap::owns((&raw const *block).cast()), default::Heap::classes().to_text().len() > 40);
}

trait ToText {
    fn to_text(&self) -> ::std::string::String;
}

impl<T: ::std::fmt::Display> ToText for T {
    fn to_text(&self) -> ::std::string::String {
        ::std::format!("{self}")
    }
}
"#;
        project.write("src/main.rs", source);
        assert_eq!(project.succeed("run", &[]), "true true\n");
        for cfg in ["hakmem_anchors", "hakmem_record"] {
            let output = project.command("check", &[]).env("RUSTFLAGS", format!("--cfg {cfg}")).output().unwrap();
            assert!(output.status.success(), "{cfg}: {}", String::from_utf8_lossy(&output.stderr));
        }
        // One mistake is one error.
        project.write("src/main.rs", &source.replace("word.toml", "broken.toml"));
        let report = project.fail();
        assert_eq!(report.matches("\nerror").count() + usize::from(report.starts_with("error")), 2, "{report}");
        assert!(report.contains("a class size must be a multiple of 8"), "{report}");
    }
}

/// Types whose names differ in letters that other names leave out.
#[test]
fn allocators_of_one_module_have_modules_of_their_own() {
    let project = Project::new("similar_names", "2024", "hakmem");
    project.write("classes.toml", "[[class]]\nsizes = [32, 64]\n");
    project.write("word.toml", "tls = \"initial-exec\"\n[[class]]\nsizes = [32, 64]\n");
    let names = ["AB", "A_b", "A_B", "Ab", "ab", "aB", "a_b", "_AB", "AB_", "B2", "B_2", "Größe", "größe"];
    let mut source =
        String::from("#![deny(warnings)]\n#![allow(non_camel_case_types)]\nuse std::alloc::{GlobalAlloc, Layout};\n");
    for (number, name) in names.iter().enumerate() {
        let file = if number % 2 == 0 { "classes.toml" } else { "word.toml" };
        source += &format!("hakmem::allocator! {{ struct {name} = {file:?}; }}\n");
        source +=
            &format!("mod other_{number} {{ hakmem::allocator! {{ pub(crate) struct {name} = \"word.toml\"; }} }}\n");
    }
    source += "fn owners<A: GlobalAlloc>(allocator: A) -> usize {\n    let layout = Layout::new::<[u64; 4]>();\n    \
               let block = unsafe { allocator.alloc(layout) };\n    let owners: &[fn(*const u8) -> bool] = &[";
    for (number, name) in names.iter().enumerate() {
        source += &format!("{name}::owns, other_{number}::{name}::owns, ");
    }
    source += "];\n    let count = owners.iter().filter(|owns| owns(block)).count();\n    \
               unsafe { allocator.dealloc(block, layout) };\n    count\n}\n\nfn main() {\n";
    for (number, name) in names.iter().enumerate() {
        source += &format!("    assert_eq!((owners({name}), owners(other_{number}::{name})), (1, 1));\n");
    }
    source += "}\n";
    project.write("src/main.rs", &source);
    project.succeed("run", &[]);
}

/// An attribute of the struct that takes it out takes everything out with it, and one that the rest would notice does not
/// make it warn.
#[test]
fn attributes_of_the_struct_hold_for_all_of_it() {
    let project = Project::new("attributes", "2024", "hakmem");
    project.write("classes.toml", "[[class]]\nsizes = [32, 64]\n");
    let manifest = std::fs::read_to_string(project.folder.join("Cargo.toml")).unwrap();
    project.write("Cargo.toml", &format!("{manifest}\n[features]\non = []\n\n[lints.rust]\nwarnings = \"deny\"\n"));
    project.write(
        "src/main.rs",
        r#"
use std::collections::HashSet;

hakmem::allocator! {
    /// One of two.
    #[cfg(feature = "on")]
    pub struct Heap = "classes.toml";
}

hakmem::allocator! {
    #[cfg(not(feature = "on"))]
    #[derive(PartialEq, Eq, Hash)]
    pub struct Heap {
        tls = "initial-exec"
        [[class]]
        size = 96
    }
}

mod other {
    hakmem::allocator! {
        /// Neither a spec that is not there nor one that is wrong matters where the struct does not.
        #[cfg(all(feature = "on", not(feature = "on")))]
        pub struct Missing = "missing.toml";
    }

    hakmem::allocator! {
        #[cfg_attr(true, allow(missing_docs), cfg_attr(all(), cfg(false), derive(Hash)))]
        pub struct Wrong {
            [[class]]
            size = 20
        }
    }

    hakmem::allocator! {
        #[cfg_attr(not(feature = "on"), derive(PartialEq, Eq, Hash), cfg(not(feature = "on")))]
        #[cfg_attr(feature = "on", derive(PartialOrd, PartialEq))]
        #[must_use]
        #[non_exhaustive]
        #[repr(C)]
        pub(crate) struct Heap;
    }

    hakmem::allocator! {
        #[deprecated(note = "use the other one")]
        #[allow(dead_code)]
        #[doc(hidden)]
        #[cfg_attr(all(), doc(alias = "old"))]
        pub(crate) struct Old {
            tls = "initial-exec"
            [[class]]
            size = 96
            layers = ["pages"]
        }
    }
}

#[global_allocator]
static HEAP: Heap = Heap;

fn main() {
    #[cfg(not(feature = "on"))]
    assert_eq!(HashSet::from([other::Heap, other::Heap]).len() + HashSet::from([Heap]).len(), 2);
    #[cfg(feature = "on")]
    assert!(other::Heap <= other::Heap && HashSet::<u8>::new().is_empty());
    println!("{} classes", Heap::CLASSES.len());
}
"#,
    );
    assert_eq!(project.succeed("run", &[]), "1 classes\n");
    assert_eq!(project.succeed("run", &["--features", "on"]), "2 classes\n");
}

/// Written by another macro, more than once, with any part of it from outside.
#[test]
fn another_macro_may_write_allocators() {
    let project = Project::new("macros", "2024", "hakmem");
    project.write("classes.toml", "tls = \"initial-exec\"\n[[class]]\nsizes = [32, 64]\n");
    project.write("native.toml", "[[class]]\nsizes = [32, 64]\n");
    project.write(
        "src/main.rs",
        r#"
macro_rules! two {
    ($(#[$meta:meta])* $visibility:vis $first:ident $second:ident $path:literal) => {
        hakmem::allocator! {
            $(#[$meta])*
            $visibility struct $first = $path;
        }
        hakmem::allocator! {
            $(#[$meta])*
            $visibility struct $second = $path;
        }
    };
}

macro_rules! nested {
    ($name:ident) => {
        mod $name {
            two! { #[derive(PartialEq)] pub(crate) Left Right "classes.toml" }
            pub(crate) mod inner {
                two! { pub(super) Left Right "native.toml" }
            }
            pub(crate) fn inner_classes() -> usize {
                inner::Left::CLASSES.len() + inner::Right::CLASSES.len()
            }
        }
    };
}

/// Its name is written here, and each allocator's spec, too.
macro_rules! here {
    ($($module:ident)*) => {$(
        mod $module {
            hakmem::allocator! {
                pub(crate) struct Heap {
                    tls = "initial-exec"
                    [[class]]
                    sizes = [32, 64]
                }
            }
        }
    )*};
}

nested!(a);
nested!(b);
here!(c d);
here!(e);
two! { #[allow(dead_code)] AB A_b "classes.toml" }

use std::alloc::{GlobalAlloc, Layout};

fn owned(allocator: impl GlobalAlloc) -> usize {
    let layout = Layout::new::<[u64; 4]>();
    let block = unsafe { allocator.alloc(layout) };
    let owners = [
        a::Left::owns(block), a::Right::owns(block), b::Left::owns(block), b::Right::owns(block),
        c::Heap::owns(block), d::Heap::owns(block), e::Heap::owns(block), AB::owns(block), A_b::owns(block),
    ];
    owners.iter().filter(|owns| **owns).count()
}

fn main() {
    let owned = [
        owned(a::Left), owned(a::Right), owned(b::Left), owned(b::Right), owned(c::Heap), owned(d::Heap), owned(e::Heap),
        owned(AB), owned(A_b),
    ];
    println!("{owned:?} {}", a::inner_classes() + b::inner_classes());
}
"#,
    );
    let output = project.run("run", &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "[1, 1, 1, 1, 1, 1, 1, 1, 1] 8\n", "{}", String::from_utf8_lossy(&output.stderr));
}
