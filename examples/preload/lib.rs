//! C's `malloc` as a shared library: `cargo build --release --example preload`, then
//!
//! ```sh
//! LD_PRELOAD=$PWD/target/release/examples/libpreload.so python3
//! ```
//!
//! Edit `examples/preload/classes.toml` for the program that it is to serve. `docs/MALLOC.md` describes what is exported.

mod heap {
    hakmem::allocator! {
        /// Everything that programs under this library allocate.
        pub(super) struct Heap = "examples/preload/classes.toml";
    }
}

hakmem::export_malloc!(heap::Heap);
