//! C's `malloc` and its relatives for a generated allocator: the functions that `hakmem::export_malloc!` exports.
//!
//! C code frees a block by its address alone, which may be wrong. So a free looks the address up in the page map, and what is no
//! block of this allocator ends the program with one line. Everything is generic over [`ByAddress`], so a binary without exports has
//! none of this code.

mod by_address;
mod lookup;
mod malloc;
mod report;
mod streams;

pub use by_address::{ByAddress, EmptyThread, KnownRegions, c_row_is_full};
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
