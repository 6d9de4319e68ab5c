//! Statistics for C callers: glibc's functions, hakmem's own, and the tables at exit.

use super::by_address::ByAddress;
use super::streams;
use crate::global_alloc;
use crate::layer_stats::layer_stats;
use crate::stats::Stats;
use crate::sys::program::{self, STANDARD_ERROR};
use crate::sys::{errno, mmap};
use core::fmt::{self, Write as _};
use core::mem::{self, MaybeUninit};
use core::slice;

/// glibc's `struct mallinfo2`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Mallinfo2 {
    /// Bytes of slabs that were touched.
    pub arena: usize,
    /// Free blocks that were touched.
    pub ordblks: usize,
    /// Always 0, as for glibc's `M_MXFAST` of 0.
    pub smblks: usize,
    /// Large blocks.
    pub hblks: usize,
    /// Bytes in large blocks.
    pub hblkhd: usize,
    /// Always 0, as with glibc.
    pub usmblks: usize,
    /// Always 0.
    pub fsmblks: usize,
    /// Bytes in blocks that slabs have handed out.
    pub uordblks: usize,
    /// The other touched bytes of slabs.
    pub fordblks: usize,
    /// Always 0: what `malloc_trim` would return is not known in advance.
    pub keepcost: usize,
}

/// `mallinfo2`. Free blocks in thread caches count as allocated.
pub fn mallinfo2<S: ByAddress>() -> Mallinfo2 {
    let mut info = Mallinfo2::default();
    Stats::of(S::allocator()).each_slab(|slab| {
        info.arena += slab.bytes_committed as usize;
        info.ordblks += slab.blocks_carved.saturating_sub(slab.blocks_live) as usize;
        info.uordblks += slab.bytes_live() as usize;
        info.fordblks += slab.bytes_waste() as usize;
    });
    S::allocator().backing().extents().each_block(|length| {
        info.hblks += 1;
        info.hblkhd += length;
    });
    info
}

/// glibc's older `struct mallinfo`: the same in fewer bits.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the fields are those of Mallinfo2")]
pub struct Mallinfo {
    pub arena: i32,
    pub ordblks: i32,
    pub smblks: i32,
    pub hblks: i32,
    pub hblkhd: i32,
    pub usmblks: i32,
    pub fsmblks: i32,
    pub uordblks: i32,
    pub fordblks: i32,
    pub keepcost: i32,
}

/// `mallinfo`. What does not fit loses its upper bits, as with glibc.
pub fn mallinfo<S: ByAddress>() -> Mallinfo {
    let info = mallinfo2::<S>();
    Mallinfo {
        arena: info.arena as i32,
        ordblks: info.ordblks as i32,
        smblks: info.smblks as i32,
        hblks: info.hblks as i32,
        hblkhd: info.hblkhd as i32,
        usmblks: info.usmblks as i32,
        fsmblks: info.fsmblks as i32,
        uordblks: info.uordblks as i32,
        fordblks: info.fordblks as i32,
        keepcost: info.keepcost as i32,
    }
}

/// Writes to a C stream.
struct Stream(*mut libc::FILE);

impl fmt::Write for Stream {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the stream is the caller's, and the text is readable.
        let written = unsafe { libc::fwrite(text.as_ptr().cast(), 1, text.len(), self.0) };
        if written == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// `malloc_info`: one XML element with those of glibc's attributes that have a meaning here.
///
/// # Safety
/// `stream` is open for writing.
pub unsafe fn malloc_info<S: ByAddress>(options: i32, stream: *mut libc::FILE) -> i32 {
    if options != 0 {
        errno::set(libc::EINVAL);
        return -1;
    }
    let mut out = Stream(stream);
    let mut result = out.write_str("<malloc version=\"hakmem-1\">\n<sizes>\n");
    Stats::of(S::allocator()).for_each(|class| {
        if class.slabs > 0 && result.is_ok() {
            let (size, live, carved) = (class.block_size, class.blocks_live, class.blocks_carved);
            result = writeln!(out, "  <size bytes=\"{size}\" live=\"{live}\" carved=\"{carved}\"/>");
        }
    });
    let Mallinfo2 { arena, hblks, hblkhd, uordblks, .. } = mallinfo2::<S>();
    let end = result.and_then(|()| {
        writeln!(
            out,
            "</sizes>\n<total type=\"live\" size=\"{uordblks}\"/>\n<total type=\"mmap\" count=\"{hblks}\" \
             size=\"{hblkhd}\"/>\n<system type=\"current\" size=\"{}\"/>\n</malloc>",
            arena + hblkhd
        )
    });
    if end.is_ok() { 0 } else { -1 }
}

/// `malloc_trim`: 1 if memory has gone back to the system meanwhile.
pub fn malloc_trim<S: ByAddress>() -> i32 {
    let before = mmap::given_back();
    global_alloc::purge_all::<S>();
    i32::from(mmap::given_back() != before)
}

/// glibc's limit of `M_MXFAST`.
const MAX_FAST: i32 = 80 * size_of::<usize>() as i32 / 4;

/// `mallopt`: 1 for settings of glibc's own mechanisms in the range that glibc accepts, which are ignored. 0 for the
/// rest, such as `M_PERTURB`, which would have to be obeyed.
pub fn mallopt(parameter: i32, value: i32) -> i32 {
    let taken = match parameter {
        libc::M_MXFAST => (0..=MAX_FAST).contains(&value),
        libc::M_ARENA_TEST | libc::M_ARENA_MAX => value > 0,
        libc::M_TRIM_THRESHOLD | libc::M_TOP_PAD | libc::M_MMAP_THRESHOLD | libc::M_MMAP_MAX | libc::M_CHECK_ACTION => {
            true
        }
        libc::M_PERTURB => value == 0,
        _ => false,
    };
    taken.into()
}

/// `malloc_stats`: the table of classes and the sum of large blocks, to standard error.
pub fn malloc_stats<S: ByAddress>() {
    let Mallinfo2 { hblks, hblkhd, .. } = mallinfo2::<S>();
    let _ = writeln!(StandardError, "{}large blocks: {hblks}, {} KiB", Stats::of(S::allocator()), hblkhd / 1024);
}

/// `hakmem_owns`.
pub fn owns<S: ByAddress>(pointer: *const u8) -> bool {
    S::allocator().owns(pointer.addr())
}

/// Text into a buffer, as `snprintf` writes it: cut off where the buffer ends, whose last byte is 0.
struct Buffer<'a> {
    free: &'a mut [MaybeUninit<u8>],
    /// The length of the whole text.
    length: usize,
}

impl fmt::Write for Buffer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.length += text.len();
        let fits = text.len().min(self.free.len().saturating_sub(1));
        if let Some((now, rest)) = mem::take(&mut self.free).split_at_mut_checked(fits) {
            for (place, &byte) in now.iter_mut().zip(text.as_bytes()) {
                place.write(byte);
            }
            if let Some(end) = rest.first_mut() {
                end.write(0);
            }
            self.free = rest;
        }
        Ok(())
    }
}

/// Writes as `snprintf` does: no more than the buffer has room for, the last byte 0. Returns the length of the whole text.
fn print(buffer: &mut [MaybeUninit<u8>], text: impl fmt::Display) -> usize {
    let mut out = Buffer { free: buffer, length: 0 };
    // Writing to a buffer never fails.
    let _ = write!(out, "{text}");
    out.length
}

/// The buffer that C passes as an address and a size. Without bytes the address may be null.
///
/// # Safety
/// At `buffer` are `size` bytes that the caller may write, and that nobody else uses as long as the result is used.
pub unsafe fn buffer<'a>(buffer: *mut u8, size: usize) -> &'a mut [MaybeUninit<u8>] {
    if size == 0 {
        return &mut [];
    }
    // SAFETY: the caller's contract. Bytes have no alignment, and need not be initialised.
    unsafe { slice::from_raw_parts_mut(buffer.cast(), size) }
}

/// `hakmem_stats`.
pub fn stats<S: ByAddress>(buffer: &mut [MaybeUninit<u8>]) -> usize {
    print(buffer, Stats::of(S::allocator()))
}

/// `hakmem_stats_json`.
pub fn stats_json<S: ByAddress>(buffer: &mut [MaybeUninit<u8>]) -> usize {
    print(buffer, Stats::of(S::allocator()).json())
}

/// Writes to standard error, bypassing C's streams, which may be closed already.
struct StandardError;

impl fmt::Write for StandardError {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // What cannot be written is lost.
        errno::preserve(|| program::write(STANDARD_ERROR, text.as_bytes()));
        Ok(())
    }
}

extern "C" fn print_at_exit<S: ByAddress>() {
    let _ = write!(StandardError, "{}{}", Stats::of(S::allocator()), layer_stats::<S>());
}

/// Runs when the library or program is loaded. Forks will hold the lock of C's streams, and the tables are printed at
/// exit if the spec says `stats = true` and `HAKMEM_STATS` is 1.
pub fn at_start<S: ByAddress>() {
    S::allocator().initialise();
    streams::hold_in_forks();
    if S::STATS && program::variable(c"HAKMEM_STATS") == Some(c"1") {
        program::at_exit(print_at_exit::<S>);
    }
}
