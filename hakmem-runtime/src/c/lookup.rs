//! From an address to the block that starts there.

use crate::global::Allocator;
use crate::meta::page_map::{self, GRANULE, Owner};
use crate::slab::NO_CLASS;
use crate::sys::fatal::fatal;

/// A block, by what is known of its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A block of the class in this slot.
    OfClass(usize),
    /// A large block of this many bytes.
    Large(usize),
}

/// What starts at `address`. Anything but the start of a block that was handed out once ends the program; whether it was
/// freed since is not known here.
pub(super) fn find(allocator: &'static Allocator, address: usize) -> Found {
    match page_map::owner(address) {
        Owner::Region(id) if id == allocator.id() => {
            // SAFETY: the address is in a region of ours, whose entries can be read, in use or not.
            let slab = unsafe { &*allocator.pool().geometry().slab_of(address) };
            let class = slab.class();
            if class == NO_CLASS {
                fatal("a block was freed or resized that is not allocated (a second free, or not a block)", address)
            }
            let size = allocator.class(class).size as usize;
            let offset = address.wrapping_sub(slab.base());
            if !offset.is_multiple_of(size) || offset / size >= slab.carved() as usize {
                fatal("a pointer was freed or resized that is not at the start of a block", address)
            }
            Found::OfClass(class as usize)
        }
        Owner::Large(id, length) if id == allocator.id() && address & (GRANULE - 1) == 0 => Found::Large(length),
        Owner::Large(id, _) | Owner::LargeRest(id) if id == allocator.id() => {
            fatal("a pointer was freed or resized that is not at the start of a block", address)
        }
        _ => fatal("a pointer was freed or resized that is not a block of this allocator", address),
    }
}

impl Found {
    /// The bytes that the program may use of the block.
    pub(super) fn usable(self, allocator: &'static Allocator) -> usize {
        match self {
            Found::OfClass(slot) => allocator.class(slot as u32).usable as usize,
            Found::Large(length) => length,
        }
    }
}
