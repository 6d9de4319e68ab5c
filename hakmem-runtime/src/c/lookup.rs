//! From an address to the block that starts there, for `free` and `realloc`.

use crate::extent::Extents;
use crate::global::Allocator;
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
    let backing = allocator.backing();
    let Some(slab) = backing.slab_at(address) else {
        return match Extents::usable(backing.id(), address) {
            Some(usable) => Found::Large(usable),
            None if backing.owns(address) => fatal("invalid free or realloc: not the start of a block", address),
            None => fatal("invalid free or realloc: not a block of this allocator", address),
        };
    };
    let class_index = slab.class_index();
    if class_index == NO_CLASS {
        fatal("invalid free or realloc: already freed, or never allocated", address)
    }
    let size = backing.class(class_index).size as usize;
    let offset = address.wrapping_sub(slab.base());
    // (Checked, for there is no panic here: no class has blocks of 0 bytes.)
    let index = offset.checked_div(size).filter(|_| offset.is_multiple_of(size));
    if index.is_none_or(|index| index >= slab.carved() as usize) {
        fatal("invalid free or realloc: not the start of a block", address)
    }
    Found::OfClass(class_index as usize)
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
