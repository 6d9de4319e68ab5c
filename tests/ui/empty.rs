//! Nothing at all.

hakmem::allocator! {}

fn main() {}
