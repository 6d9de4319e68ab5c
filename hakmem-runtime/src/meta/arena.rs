//! The arena: memory for the runtime's own metadata, handed out and never taken back.
//!
//! What is allocated here (heaps, leaves of the page map, magazines) is recycled by its users and never unmapped. So a
//! pointer to it is valid for ever: lock-free code that follows a stale one reads, at worst, a stale value.

use crate::sys::fork::{ForkHook, ForkLink, Hooks};
use crate::sys::lock::Lock;
use crate::sys::mmap::{self, Access};
use core::ptr;

/// What everything in the arena is aligned to.
pub(crate) const ALIGN: usize = 128;

/// The bytes of one mapping: enough for dozens of heaps, little beside the first slab.
const CHUNK: usize = 256 * 1024;

/// The mapping in use: `[next, end)` is not handed out yet.
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

/// A value of `T` that is all zero, with so many bytes of zeroes behind it. `None`: the system has no memory.
pub(crate) fn zeroed<T: Zeroed>(bytes_behind: usize) -> Option<&'static T> {
    const { assert!(align_of::<T>() <= ALIGN) };
    let address = allocate(size_of::<T>().checked_add(bytes_behind)?);
    // SAFETY: null, or memory of the arena, zero, enough, aligned and never taken back; the value may be all zero.
    unsafe { ptr::with_exposed_provenance::<T>(address).as_ref() }
}

/// What may be all zero.
///
/// # Safety
/// A value whose bytes are all zero is one, and threads may share it.
pub(crate) unsafe trait Zeroed: 'static {}

/// Has forks hold the arena's lock. To be called before any other hook is registered: the arena is used under all other
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
