//! From an address to the block that starts there, for `free` and `realloc`.

use crate::extent::Extents;
use crate::global::Allocator;
use crate::meta::page_map::{self, Occupant};
use crate::slab::NO_CLASS;
use crate::sys::fatal::fatal;

/// A block that was found by its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A block of the class at this index.
    OfClass(usize),
    /// A large block of this many bytes.
    Large(usize),
}

/// The block that starts at `address`. Ends the program if no block that was ever handed out starts there. Does not
/// check whether the block was freed since.
pub(super) fn find(allocator: &'static Allocator, address: usize) -> Found {
    match page_map::occupant_of(address) {
        Occupant::Region(id) if id == allocator.backing().id() => {
            // SAFETY: the page map says that the address is in a region of this allocator, so of the pool's geometry.
            let slab = unsafe { allocator.backing().pool().geometry().slab_of(address) };
            let class_index = slab.class_index();
            if class_index == NO_CLASS {
                fatal("invalid free or realloc: already freed, or never allocated", address)
            }
            let size = allocator.backing().class(class_index).size as usize;
            let offset = address.wrapping_sub(slab.base());
            if !offset.is_multiple_of(size) || offset / size >= slab.carved() as usize {
                fatal("invalid free or realloc: not the start of a block", address)
            }
            Found::OfClass(class_index as usize)
        }
        Occupant::Segment(id, _) if id == allocator.backing().id() => match Extents::usable(id, address) {
            Some(usable) => Found::Large(usable),
            None => fatal("invalid free or realloc: not the start of a block", address),
        },
        _ => fatal("invalid free or realloc: not a block of this allocator", address),
    }
}

impl Found {
    /// How many bytes of the block the program may use.
    pub(super) fn usable(self, allocator: &'static Allocator) -> usize {
        match self {
            Found::OfClass(class_index) => allocator.backing().class(class_index as u32).usable as usize,
            Found::Large(length) => length,
        }
    }
}
