//! The same text as in the file beside this one.

hakmem::allocator! {
    pub(crate) struct Heap = "tests/allocator/same_name/classes.toml";
}
