#![doc = include_str!("../README.md")]
#![no_std]

pub use hakmem_runtime::{Class, ClassStats, ClassTable, LayerStats, LayerTable, Stats, StatsJson};

/// Generates an allocator from a spec of size classes and layers.
///
/// Three forms, which differ in where the spec is:
///
/// ```
/// mod built_in {
///     hakmem::allocator! {
///         /// The default spec, built into this crate.
///         pub struct Heap;
///     }
/// }
///
/// mod inline {
///     hakmem::allocator! {
///         /// The spec stands here, as TOML.
///         pub struct Heap {
///             [defaults]
///             layers = ["unified", "sll"]
///
///             [[class]]
///             sizes = { from = 16, to = 256, step = 16 }
///         }
///     }
/// }
/// # fn main() {}
/// ```
///
/// and `pub struct Heap = "classes.toml";`, a file relative to the folder of the crate's `Cargo.toml`. Editing the file
/// rebuilds the crate. Every key is described in `docs/SPEC.md`.
///
/// # What it emits
///
/// The unit type with the given name, visibility and attributes; `GlobalAlloc` for it; its `CLASSES`, `classes()`,
/// `stats()`, `layer_stats()`, `owns()`, `prewarm()` and `purge()`; and beside it a private module with the thread-local state and the
/// paths. Invoke it at module level (not inside a function), in the crate whose code is hot: without link-time
/// optimization, the paths are inlined into that crate alone.
///
/// # Errors
///
/// Every mistake in a spec is a compile error that names the file, line and column, and what would be right.
#[macro_export]
macro_rules! allocator {
    ($($tokens:tt)*) => {
        $crate::__private::allocator_impl! { ($crate) $($tokens)* }
    };
}

/// What generated code uses. No part of the public interface.
#[doc(hidden)]
pub mod __private {
    extern crate std;

    pub use hakmem_macros::allocator_impl;
    pub use hakmem_runtime::front::{self, Front};
    pub use hakmem_runtime::layers::ahead::{Ahead, Both};
    pub use hakmem_runtime::layers::*;
    pub use hakmem_runtime::policies::background::{Filler, Queue, Queued};
    pub use hakmem_runtime::policies::counted::{Counted, Counters, LayerRow};
    pub use hakmem_runtime::policies::deferred::Deferred;
    pub use hakmem_runtime::policies::legacy::Through;
    pub use hakmem_runtime::policies::purger::Purger;
    pub use hakmem_runtime::policies::region_id;
    #[cfg(feature = "record")]
    pub use hakmem_runtime::recorder;
    pub use hakmem_runtime::{
        Allocator, Block, Class, ClassTable, Config, Heap, HeapSlot, LayerTable, SlabStack, Worker, region_shift,
    };
    pub use std::thread_local;
}
