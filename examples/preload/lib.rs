//! C's `malloc` as a shared library: `cargo build --release --example preload`, then
//!
//! ```sh
//! LD_PRELOAD=$PWD/target/release/examples/libpreload.so python3
//! ```
//!
//! To tune it for a program, edit `examples/preload/classes.toml`. `docs/MALLOC.md` lists the exported functions.

mod heap {
    hakmem::allocator! {
        /// Serves every allocation of a program that preloads this library.
        pub(super) struct Heap = "examples/preload/classes.toml";
    }
}

hakmem::export_malloc!(heap::Heap);

// The unwinder becomes a part of the library: to find, map and relocate libgcc_s.so took half of what this library adds to the
// start of a program, and a program in C has no other use for it.
#[cfg(target_env = "gnu")]
#[link(name = "gcc_eh", kind = "static", modifiers = "-bundle")]
unsafe extern "C" {}
