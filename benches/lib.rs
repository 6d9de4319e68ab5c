//! Benchmarks of hakmem. `cargo bench --manifest-path benches/Cargo.toml`; results and plots are in
//! `benches/target/criterion`.

hakmem::allocator! {
    /// The default spec.
    pub struct Heap;
}
