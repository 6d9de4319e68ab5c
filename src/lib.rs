#![doc = include_str!("../README.md")]
#![no_std]

#[cfg(any(all(hakmem_anchors, hakmem_record), all(hakmem_anchors, hakmem_system), all(hakmem_record, hakmem_system)))]
compile_error!("only one of `hakmem_anchors`, `hakmem_record` and `hakmem_system` can be set for a build");

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
///         /// The spec inline, as TOML.
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
/// The third names a file relative to the folder of `Cargo.toml`: `pub struct Heap = "classes.toml";`. Editing the file
/// rebuilds the crate. Every key is described in `docs/SPEC.md`.
///
/// # What it emits
///
/// The unit type with the given name, visibility and attributes; `GlobalAlloc` for it; its `CLASSES`, `classes()`,
/// `stats()`, `layer_stats()`, `owns()`, `prewarm()` and `purge()`; and a private module with its tables and
/// thread-local state. Invoke it at module level (not inside a function), in the crate whose code is hot: without
/// link-time optimization, the paths are inlined into that crate alone.
///
/// # Errors
///
/// A mistake in a spec is a compile error with file, line and column, and mostly a suggested fix.
#[macro_export]
macro_rules! allocator {
    ($($tokens:tt)*) => {
        $crate::__private::allocator_impl! { ($crate) $($tokens)* }
    };
}

/// Gives a generated allocator the names of C's `malloc` and its relatives.
///
/// ```
/// mod heap {
///     hakmem::allocator! {
///         pub(crate) struct Heap {
///             tls = "initial-exec"
///
///             [[class]]
///             sizes = { from = 16, to = 1024, step = 16 }
///         }
///     }
/// }
///
/// hakmem::export_malloc!(heap::Heap);
///
/// fn main() {
///     // SAFETY: the block is freed once, and not used in between.
///     unsafe {
///         let block = libc::malloc(100);
///         assert!(heap::Heap::owns(block.cast()));
///         libc::free(block);
///     }
/// }
/// ```
///
/// In a `cdylib` this makes a library for `LD_PRELOAD` (`examples/preload`); in a program, its C and C++ libraries use
/// the allocator, too. Invoke it once in a program or library. The spec has to say `tls = "initial-exec"`, and may not
/// have a slow path start a background thread, which would itself call `malloc`: `purge.background` may be `"with-threads"`,
/// not `true`.
///
/// What is exported, and how it behaves where C leaves a choice, is in `docs/MALLOC.md`; `include/hakmem.h` declares
/// the calls that are hakmem's own. Under `--cfg hakmem_system` these are all: C's `malloc` stays the C library's.
#[cfg(not(hakmem_system))]
#[macro_export]
macro_rules! export_malloc {
    ($allocator:ty) => {
        const _: () = {
            use $crate::__private::c;

            ::core::assert!(
                !<$allocator as c::ByAddress>::STARTS_WORKERS,
                "`refill = \"background\"` and `purge.background = true` start a thread on a slow path, which would call \
                 `malloc`; `background = \"with-threads\"` is possible"
            );

            #[used]
            #[unsafe(link_section = ".init_array")]
            static AT_START: extern "C" fn() = at_start;

            extern "C" fn at_start() {
                c::at_start::<$allocator>();
            }

            #[unsafe(no_mangle)]
            extern "C" fn malloc(size: usize) -> *mut u8 {
                c::malloc::<$allocator>(size)
            }

            #[unsafe(no_mangle)]
            extern "C" fn calloc(count: usize, size: usize) -> *mut u8 {
                c::calloc::<$allocator>(count, size)
            }

            #[unsafe(no_mangle)]
            extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut u8 {
                c::aligned_alloc::<$allocator>(align, size)
            }

            #[unsafe(no_mangle)]
            extern "C" fn memalign(align: usize, size: usize) -> *mut u8 {
                c::memalign::<$allocator>(align, size)
            }

            #[unsafe(no_mangle)]
            extern "C" fn valloc(size: usize) -> *mut u8 {
                c::valloc::<$allocator>(size)
            }

            #[unsafe(no_mangle)]
            extern "C" fn pvalloc(size: usize) -> *mut u8 {
                c::pvalloc::<$allocator>(size)
            }

            #[unsafe(no_mangle)]
            extern "C" fn malloc_trim(_pad: usize) -> i32 {
                c::malloc_trim::<$allocator>()
            }

            #[unsafe(no_mangle)]
            extern "C" fn mallopt(parameter: i32, value: i32) -> i32 {
                c::mallopt(parameter, value)
            }

            #[unsafe(no_mangle)]
            extern "C" fn mallinfo2() -> c::Mallinfo2 {
                c::mallinfo2::<$allocator>()
            }

            #[unsafe(no_mangle)]
            extern "C" fn mallinfo() -> c::Mallinfo {
                c::mallinfo::<$allocator>()
            }

            #[unsafe(no_mangle)]
            extern "C" fn malloc_stats() {
                c::malloc_stats::<$allocator>()
            }

            #[unsafe(no_mangle)]
            extern "C" fn hakmem_owns(pointer: *const u8) -> bool {
                c::owns::<$allocator>(pointer)
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn free(block: *mut u8) {
                // SAFETY: what C asks of its callers.
                unsafe { c::free::<$allocator>(block) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn free_sized(block: *mut u8, _size: usize) {
                // SAFETY: what C asks of its callers.
                unsafe { c::free::<$allocator>(block) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn free_aligned_sized(block: *mut u8, _align: usize, _size: usize) {
                // SAFETY: what C asks of its callers.
                unsafe { c::free::<$allocator>(block) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn realloc(block: *mut u8, size: usize) -> *mut u8 {
                // SAFETY: what C asks of its callers.
                unsafe { c::realloc::<$allocator>(block, size) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn reallocarray(block: *mut u8, count: usize, size: usize) -> *mut u8 {
                // SAFETY: what C asks of its callers.
                unsafe { c::realloc::<$allocator>(block, c::array_size(count, size)) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn posix_memalign(place: *mut *mut u8, align: usize, size: usize) -> i32 {
                // SAFETY: what C asks of its callers.
                unsafe { c::posix_memalign::<$allocator>(place, align, size) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn malloc_usable_size(block: *mut u8) -> usize {
                // SAFETY: what C asks of its callers.
                unsafe { c::malloc_usable_size::<$allocator>(block) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn malloc_info(options: i32, stream: *mut c::File) -> i32 {
                // SAFETY: what C asks of its callers.
                unsafe { c::malloc_info::<$allocator>(options, stream) }
            }

            $crate::__export_statistics!($allocator);
        };
    };
}

/// The part of `export_malloc!` that is the same where C's `malloc` stays the C library's.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_statistics {
    ($allocator:ty) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn hakmem_stats(buffer: *mut u8, size: usize) -> usize {
            // SAFETY: what C asks of its callers.
            $crate::__private::c::stats::<$allocator>(unsafe { $crate::__private::c::buffer(buffer, size) })
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn hakmem_stats_json(buffer: *mut u8, size: usize) -> usize {
            // SAFETY: what C asks of its callers.
            $crate::__private::c::stats_json::<$allocator>(unsafe { $crate::__private::c::buffer(buffer, size) })
        }
    };
}

mod failed;
#[cfg(hakmem_system)]
#[doc(hidden)]
pub mod system;
mod tls;

/// What generated code uses. Not part of the public API.
#[doc(hidden)]
pub mod __private {
    extern crate std;

    pub use crate::failed::NoCache;
    #[cfg(hakmem_system)]
    pub use crate::system;
    pub use crate::tls::hash;
    pub use crate::{__failed_spec as failed_spec, __initial_exec_tls as initial_exec_tls, __native_tls as native_tls};
    // `cargo hakmem` sets these cfgs for the whole build. They are read here because code that the macro emits would be
    // checked against the cfgs of the user's crate.
    #[cfg(not(any(hakmem_anchors, hakmem_record, hakmem_system)))]
    pub use hakmem_macros::allocator_impl;
    #[cfg(hakmem_anchors)]
    pub use hakmem_macros::anchored_allocator_impl as allocator_impl;
    #[cfg(all(hakmem_record, not(hakmem_anchors)))]
    pub use hakmem_macros::recorded_allocator_impl as allocator_impl;
    #[cfg(all(hakmem_system, not(any(hakmem_anchors, hakmem_record))))]
    pub use hakmem_macros::system_allocator_impl as allocator_impl;
    pub use hakmem_runtime::background::{Filler, filler};
    pub use hakmem_runtime::c::{self, ByAddress, EmptyThread, KnownRegions, c_row_is_full};
    pub use hakmem_runtime::cache::*;
    pub use hakmem_runtime::crash_report::CrashReport;
    pub use hakmem_runtime::create_thread;
    pub use hakmem_runtime::global_alloc::{
        AtExit, CompiledSpec, alloc, alloc_zeroed, dealloc, empty, idle, keeper_steps, layer_hooks, on_cache, prewarm,
        purge, purge_all, realloc,
    };
    pub use hakmem_runtime::group::{Group, Inlining, Shared, empty_first, empty_rest, states_of};
    pub use hakmem_runtime::purger::Purger;
    #[cfg(hakmem_record)]
    pub use hakmem_runtime::record;
    pub use hakmem_runtime::size_table::{SmallTable, expand, small_table};
    pub use hakmem_runtime::table_checks::{Tables, assert_tables, fault};
    pub use hakmem_runtime::thread_cache::{ThreadCache, class_offsets};
    pub use hakmem_runtime::{
        Allocator, Backing, Class, ClassTable, Config, Heap, HeapSlot, NodeStack, Worker, layer_stats, region_shift,
    };
    pub use std::thread_local;
}
