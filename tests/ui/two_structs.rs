//! Two allocators in one invocation.

hakmem::allocator! {
    struct Small;
    struct Large;
}

fn main() {}
