//! Random operations of C's `malloc` in many threads, while the kernel refuses what it can refuse.
//!
//! Each test takes two seconds; `HAKMEM_SOAK_SECONDS=600 cargo test --release --test soak` takes ten minutes for each.

#[path = "../common/address_space.rs"]
mod address_space;
#[path = "../common/kernel.rs"]
mod kernel;
#[path = "../common/rerun.rs"]
mod rerun;
#[path = "../common/resident.rs"]
mod resident;

mod faults;
mod large;
mod small;

mod heap {
    hakmem::allocator! {
        pub(crate) struct Heap = "examples/preload/classes.toml";
    }
}

hakmem::export_malloc!(heap::Heap);

pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// The large blocks of the process and their bytes: before the work those of the test harness alone.
pub(crate) fn large_blocks() -> (usize, usize) {
    // SAFETY: the function fills a struct.
    let info = unsafe { libc::mallinfo2() };
    (info.hblks, info.hblkhd)
}

/// How long a test takes.
fn seconds() -> u64 {
    std::env::var("HAKMEM_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}
