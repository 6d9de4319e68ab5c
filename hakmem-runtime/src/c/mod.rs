//! C's `malloc` and its relatives for a generated allocator: the functions that `hakmem::export_malloc!` exports.
//!
//! C code frees a block by its address alone, which may be wrong. A free that is no hit looks the address up in the
//! page map; if there is no block of this allocator, the program ends with a message. Everything is generic over
//! [`ByAddress`], so a binary without exports has none of this code.

mod by_address;
mod lookup;
mod malloc;
mod report;
mod streams;

pub use by_address::{ByAddress, EmptyThread, KnownRegions, c_row_is_full};
pub use malloc::{
    aligned_alloc, array_size, calloc, free, malloc, malloc_usable_size, memalign, posix_memalign, pvalloc, realloc,
    valloc,
};
pub use report::{
    Mallinfo, Mallinfo2, at_start, buffer, mallinfo, mallinfo2, malloc_info, malloc_stats, malloc_trim, mallopt, owns,
    stats, stats_json,
};

/// C's `FILE`.
pub type File = libc::FILE;

/// The alignment of every block: that of C's `max_align_t`.
pub const ALIGN: usize = 16;
