//! Two mistakes at once; the uses of the type add none.

#[global_allocator]
static HEAP: Heap = Heap;

hakmem::allocator! {
    /// An attribute, too.
    pub(crate) struct Heap {
        [defaults]
        batch = "many"

        [[class]]
        size = 20
    }
}

fn main() {
    println!("{}", Heap::stats());
    println!("{:?} {}", Heap::CLASSES, Heap::classes());
    println!("{}", Heap::owns(std::ptr::null()));
    Heap::prewarm(std::alloc::Layout::new::<u64>());
    Heap::purge();
}
