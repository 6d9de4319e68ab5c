//! The allocators that are compared.

/// An arm of the comparison.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Allocator {
    /// What the user calls it.
    pub(crate) name: &'static str,
    /// The feature with which its runner is built; the system's allocator needs none.
    pub(crate) feature: Option<&'static str>,
    /// The packages whose versions are reported.
    pub(crate) packages: &'static [&'static str],
}

/// hakmem.
pub(crate) const HAKMEM: &str = "hakmem";
/// The same program under another name: the difference between the two is noise.
pub(crate) const AGAIN: &str = "hakmem-again";
/// What the geometric means are relative to.
pub(crate) const SYSTEM: &str = "system";

/// All, in the order of the columns.
pub(crate) static ALLOCATORS: [Allocator; 9] = [
    Allocator { name: SYSTEM, feature: None, packages: &[] },
    Allocator { name: "mimalloc", feature: Some("on-mimalloc"), packages: &["mimalloc", "libmimalloc-sys"] },
    Allocator { name: "mimalloc-v2", feature: Some("on-mimalloc-v2"), packages: &["mimalloc", "libmimalloc-sys"] },
    Allocator { name: "jemalloc", feature: Some("on-jemalloc"), packages: &["tikv-jemallocator", "tikv-jemalloc-sys"] },
    Allocator { name: "snmalloc", feature: Some("on-snmalloc"), packages: &["snmalloc-rs", "snmalloc-sys"] },
    Allocator { name: "rpmalloc", feature: Some("on-rpmalloc"), packages: &["rpmalloc", "rpmalloc-sys"] },
    Allocator { name: "rusty_alloc", feature: Some("on-rusty-alloc"), packages: &["rusty_alloc-api", "rusty_alloc"] },
    Allocator { name: HAKMEM, feature: Some("on-hakmem"), packages: &["hakmem"] },
    Allocator { name: AGAIN, feature: Some("on-hakmem"), packages: &["hakmem"] },
];

/// Whether it is one that hakmem is compared with.
pub(crate) fn is_peer(name: &str) -> bool {
    name != HAKMEM && name != AGAIN
}
