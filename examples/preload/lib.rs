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
