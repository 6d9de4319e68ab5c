//! The arena: memory for the runtime's own metadata, never freed.
//!
//! What is allocated here (heaps, leaves of the page map, magazines) is recycled by its users and never unmapped. So a
//! pointer into it stays valid for ever: lock-free code that follows a stale one reads, at worst, a stale value.

use crate::sys::fork::{ForkHook, ForkLink, Hooks};
use crate::sys::lock::Lock;
use crate::sys::mmap::{self, Access};
use core::ptr;

/// The alignment of every allocation.
pub(crate) const ALIGN: usize = 128;

/// The bytes of one mapping: enough for dozens of heaps, little beside the first slab.
const CHUNK: usize = 256 * 1024;

/// The current mapping, of which `[next, end)` is not handed out yet.
#[derive(Debug)]
struct Chunk {
    next: usize,
    end: usize,
}

struct Arena {
    chunk: Lock<Chunk>,
    link: ForkLink,
}

static ARENA: Arena = Arena { chunk: Lock::new(Chunk { next: 0, end: 0 }), link: ForkLink::new() };

/// `bytes` of zeroed memory, aligned to [`ALIGN`]. 0: the system has none.
pub(crate) fn allocate(bytes: usize) -> usize {
    let Some(bytes) = mmap::round_up(bytes, ALIGN) else { return 0 };
    let mut chunk = ARENA.chunk.lock();
    if chunk.end.wrapping_sub(chunk.next) < bytes {
        let Some(length) = mmap::round_up(bytes.max(CHUNK), mmap::page_size()) else { return 0 };
        let address = mmap::map(length, mmap::page_size(), Access::ReadWrite);
        if address == 0 {
            return 0;
        }
        chunk.next = address;
        chunk.end = address.wrapping_add(length);
    }
    let address = chunk.next;
    chunk.next = address.wrapping_add(bytes);
    address
}

/// Allocates an all-zero `T` followed by `extra_bytes` bytes of zeroes. `None`: the system has no memory.
pub(crate) fn zeroed<T: Zeroed>(extra_bytes: usize) -> Option<&'static T> {
    const { assert!(align_of::<T>() <= ALIGN) };
    let address = allocate(size_of::<T>().checked_add(extra_bytes)?);
    // SAFETY: null, or arena memory: long enough, aligned (asserted above), never unmapped, and handed out to nobody
    // else. It is all zero, which `Zeroed` makes a valid `T` that threads may share.
    unsafe { ptr::with_exposed_provenance::<T>(address).as_ref() }
}

/// A type for which all-zero bytes are a valid value.
///
/// # Safety
/// They are, and threads may share the value.
pub(crate) unsafe trait Zeroed: 'static {}

/// Registers the arena's fork hook. To be called before any other hook is registered: the arena is used under all other
/// locks, so a fork takes its lock last.
pub(crate) fn register(hooks: &mut Hooks) {
    hooks.register(&ARENA);
}

impl ForkHook for Arena {
    fn hold(&self) {
        self.chunk.hold_for_fork();
    }

    fn release(&self) {
        self.chunk.release_after_fork();
    }

    fn link(&self) -> &ForkLink {
        &self.link
    }
}
