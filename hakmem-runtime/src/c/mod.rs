//! C's `malloc` and its relatives over a generated front: what `hakmem::export_malloc!` gives names to.
//!
//! A caller in C knows nothing of a block but its address, and may have got it wrong. So a free goes by the slab that the
//! registry finds there; what is no block of this allocator ends the program with one line. Everything is generic over
//! [`CFront`] and instantiated where it is exported: in no other binary is any of it.

mod by_address;
mod lookup;
mod malloc;
mod report;
mod streams;

pub use by_address::{CFront, EmptyThread, KnownRegions};
pub use malloc::{
    aligned_alloc, calloc, free, malloc, malloc_usable_size, memalign, posix_memalign, pvalloc, realloc, reallocarray,
    valloc,
};
pub use report::{
    Mallinfo, Mallinfo2, at_start, mallinfo, mallinfo2, malloc_info, malloc_stats, malloc_trim, mallopt, owns, stats,
    stats_json,
};

/// A stream of C's.
pub type File = libc::FILE;

/// What C promises of every block: enough for any type of its own.
pub const ALIGN: usize = 16;
