//! The allocators, one for each of several spec files of this repository.

use crate::run::{Options, run};
use std::alloc::GlobalAlloc;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A generated allocator.
pub(crate) trait Subject: GlobalAlloc + Copy + Default + Send + Sync + 'static {
    fn owns(pointer: *const u8) -> bool;
    fn purge();
    /// Blocks that slabs have handed out.
    fn blocks_live() -> u64;
}

/// A spec that is compiled in.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    /// Relative to the repository.
    pub(crate) file: &'static str,
    /// Works on its allocator. The error says what is wrong with it.
    pub(crate) run: fn(&Options) -> Result<(), String>,
}

/// The file that the spec was compiled from.
pub(crate) fn path(spec: &Spec) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(spec.file)
}

/// The number of the spec with this name, or of this file.
pub(crate) fn find(name: &OsStr) -> Option<usize> {
    let file = Path::new(name).canonicalize().ok();
    SPECS.iter().position(|spec| name == spec.name || file.is_some() && path(spec).canonicalize().ok() == file)
}

macro_rules! specs {
    ($($(#[$when:meta])* $module:ident = $name:literal, $file:literal;)*) => {
        $($(#[$when])* mod $module {
            hakmem::allocator! {
                pub(super) struct Heap = $file;
            }

            impl super::Subject for Heap {
                fn owns(pointer: *const u8) -> bool {
                    Heap::owns(pointer)
                }
                fn purge() {
                    Heap::purge();
                }
                fn blocks_live() -> u64 {
                    let mut sum = 0;
                    Heap::stats().for_each(|class| sum += class.blocks_live);
                    sum
                }
            }
        })*

        pub(crate) const SPECS: &[Spec] =
            &[$($(#[$when])* Spec { name: $name, file: $file, run: run::<$module::Heap> }),*];
    };
}

// Of the last four, each class has another stack of layers or another policy. They take their time to build, and `cargo
// test`, which builds examples, has them elsewhere.
specs! {
    default = "default", "classes.toml";
    preload = "preload", "examples/preload/classes.toml";
    slow_path_purge = "slow_path_purge", "tests/slow_path_purge.toml";
    forms = "forms", "tests/allocator/forms.toml";
    #[cfg(not(debug_assertions))]
    stacks_1 = "stacks/1", "tests/stacks/1.toml";
    #[cfg(not(debug_assertions))]
    stacks_2 = "stacks/2", "tests/stacks/2.toml";
    #[cfg(not(debug_assertions))]
    stacks_3 = "stacks/3", "tests/stacks/3.toml";
    #[cfg(not(debug_assertions))]
    stacks_4 = "stacks/4", "tests/stacks/4.toml";
}
