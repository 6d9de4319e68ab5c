//! The page arena: memory for the runtime's own metadata, handed out and never taken back.
//!
//! What lives here (heaps, page-map leaves) is recycled by its owners, so that a pointer to it stays valid for ever: a
//! lock-free reader may follow a stale one and find, at worst, a stale value.

use crate::sys::lock::Lock;
use crate::sys::mmap::{self, Access};

/// What one mapping adds: enough for dozens of heaps, small beside the first slab.
const CHUNK: usize = 256 * 1024;

#[derive(Debug)]
struct Chunk {
    next: usize,
    end: usize,
}

static ARENA: Lock<Chunk> = Lock::new(Chunk { next: 0, end: 0 });

/// `bytes` of zeroed memory, aligned to 128; 0 when the system has none.
pub(crate) fn allocate(bytes: usize) -> usize {
    let Some(bytes) = mmap::round_up(bytes, 128) else { return 0 };
    let mut chunk = ARENA.lock();
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

/// Locks the arena for the length of a fork.
pub(crate) fn before_fork() {
    ARENA.hold_for_fork();
}

/// Unlocks it on both sides of a fork.
pub(crate) fn after_fork() {
    ARENA.release_after_fork();
}
