//! The default spec as the allocator of the whole program: the harness, its threads, what runs before `main` and behind it.

#[path = "../common/blocks.rs"]
mod blocks;
#[path = "../common/forks.rs"]
mod forks;
#[path = "../common/rerun.rs"]
mod rerun;
#[path = "../common/resident.rs"]
mod resident;

mod fork;
mod in_force;
mod lifetime;
mod quickstart;

hakmem::allocator! {
    pub(crate) struct Heap;
}

blocks::subjects!(Heap);

#[global_allocator]
static GLOBAL: Heap = Heap;
