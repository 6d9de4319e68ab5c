//! What can be asked of the allocator in C: glibc's questions, hakmem's own, and the table at exit.

use super::by_address::CFront;
use super::streams;
use crate::meta::page_map;
use crate::stats::{ClassStats, Stats};
use crate::sys::mmap::keeping_errno;
use core::fmt::{self, Write as _};

/// glibc's `struct mallinfo2`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Mallinfo2 {
    /// Bytes in slabs that were touched.
    pub arena: usize,
    /// Blocks that were touched and are free.
    pub ordblks: usize,
    /// Always 0, as for glibc's `M_MXFAST` of 0.
    pub smblks: usize,
    /// Large blocks.
    pub hblks: usize,
    /// Bytes in them.
    pub hblkhd: usize,
    /// Always 0, as with glibc.
    pub usmblks: usize,
    /// Always 0.
    pub fsmblks: usize,
    /// Bytes in blocks that slabs handed out.
    pub uordblks: usize,
    /// Bytes in the others.
    pub fordblks: usize,
    /// Always 0: what could go back is not known before it is tried.
    pub keepcost: usize,
}

/// `mallinfo2`. What threads keep in their fronts counts as allocated.
pub fn mallinfo2<F: CFront>() -> Mallinfo2 {
    let mut info = Mallinfo2::default();
    Stats::of(F::runtime()).for_each(|class: ClassStats| {
        info.arena += class.bytes_committed as usize;
        info.ordblks += class.blocks_carved.saturating_sub(class.blocks_live) as usize;
        info.uordblks += class.bytes_live() as usize;
        info.fordblks += class.bytes_waste() as usize;
    });
    page_map::each_large(F::runtime().id(), |length| {
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
pub fn mallinfo<F: CFront>() -> Mallinfo {
    let info = mallinfo2::<F>();
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

/// Text on its way to a stream of C's.
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
pub unsafe fn malloc_info<F: CFront>(options: i32, stream: *mut libc::FILE) -> i32 {
    if options != 0 {
        // SAFETY: errno is this thread's own place.
        unsafe { *libc::__errno_location() = libc::EINVAL };
        return -1;
    }
    let mut out = Stream(stream);
    let mut result = out.write_str("<malloc version=\"hakmem-1\">\n<sizes>\n");
    Stats::of(F::runtime()).for_each(|class| {
        if class.slabs > 0 && result.is_ok() {
            let (size, live, carved) = (class.block_size, class.blocks_live, class.blocks_carved);
            result = writeln!(out, "  <size bytes=\"{size}\" live=\"{live}\" carved=\"{carved}\"/>");
        }
    });
    let Mallinfo2 { arena, hblks, hblkhd, uordblks, .. } = mallinfo2::<F>();
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

/// `malloc_trim`: 1 if fewer bytes are touched afterwards, as far as slabs tell.
pub fn malloc_trim<F: CFront>() -> i32 {
    let before = mallinfo2::<F>().arena;
    F::purge();
    i32::from(mallinfo2::<F>().arena < before)
}

/// glibc's limit of `M_MXFAST`.
const MOST_FAST: i32 = 80 * size_of::<usize>() as i32 / 4;

/// `mallopt`: 1 for what is advice to glibc's own mechanisms, in the range that glibc takes, and is ignored. 0 for the rest,
/// among it a pattern for blocks, which would have to be followed.
pub fn mallopt(parameter: i32, value: i32) -> i32 {
    let taken = match parameter {
        libc::M_MXFAST => (0..=MOST_FAST).contains(&value),
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
pub fn malloc_stats<F: CFront>() {
    let Mallinfo2 { hblks, hblkhd, .. } = mallinfo2::<F>();
    let _ = writeln!(StandardError, "{}large blocks: {hblks}, {} KiB", Stats::of(F::runtime()), hblkhd / 1024);
}

/// `hakmem_owns`.
pub fn owns<F: CFront>(pointer: *const u8) -> bool {
    F::runtime().owns(pointer.addr())
}

/// Text into a buffer, cut off where it ends, and the length of the whole.
struct Buffer {
    next: *mut u8,
    room: usize,
    length: usize,
}

impl fmt::Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fits = text.len().min(self.room);
        // SAFETY: the buffer has `room` bytes left.
        unsafe { core::ptr::copy_nonoverlapping(text.as_ptr(), self.next, fits) };
        self.next = self.next.wrapping_add(fits);
        self.room -= fits;
        self.length += text.len();
        Ok(())
    }
}

/// Writes as `snprintf` does: at most `size` bytes, the last of them 0, and returns the length of the whole text.
unsafe fn print(buffer: *mut u8, size: usize, text: impl fmt::Display) -> usize {
    let mut out = Buffer { next: buffer, room: size.saturating_sub(1), length: 0 };
    // A buffer never fails.
    let _ = write!(out, "{text}");
    if size > 0 {
        // SAFETY: one byte was left out of the room.
        unsafe { *out.next = 0 };
    }
    out.length
}

/// `hakmem_stats`.
///
/// # Safety
/// `buffer` has `size` bytes.
pub unsafe fn stats<F: CFront>(buffer: *mut u8, size: usize) -> usize {
    // SAFETY: the caller's contract.
    unsafe { print(buffer, size, Stats::of(F::runtime())) }
}

/// `hakmem_stats_json`.
///
/// # Safety
/// `buffer` has `size` bytes.
pub unsafe fn stats_json<F: CFront>(buffer: *mut u8, size: usize) -> usize {
    // SAFETY: the caller's contract.
    unsafe { print(buffer, size, Stats::of(F::runtime()).json()) }
}

/// Text on its way to standard error, past C's streams, which may be closed already.
struct StandardError;

impl fmt::Write for StandardError {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the text is readable. What cannot be written is lost.
        keeping_errno(|| unsafe { libc::write(2, text.as_ptr().cast(), text.len()) });
        Ok(())
    }
}

extern "C" fn print_at_exit<F: CFront>() {
    let _ = write!(StandardError, "{}{}", Stats::of(F::runtime()), F::layer_stats());
}

/// When the library or program is loaded: arranges that forks wait for the C library's streams; for the tables at exit, if
/// the spec counts and `HAKMEM_STATS` is 1; and that the code stays, of which the C library keeps pointers for the ends of
/// threads and for forks.
pub fn at_start<F: CFront>() {
    F::runtime().initialise();
    streams::hold_in_forks();
    stay(at_start::<F> as *const libc::c_void);
    if F::STATS {
        // SAFETY: the name is a string of C's, and what is found is one, too.
        unsafe {
            let value = libc::getenv(c"HAKMEM_STATS".as_ptr());
            if !value.is_null() && libc::strcmp(value, c"1".as_ptr()) == 0 {
                libc::atexit(print_at_exit::<F>);
            }
        }
    }
}

/// Makes the library that `here` is in, if it is in one, stay after a `dlclose`.
fn stay(here: *const libc::c_void) {
    // SAFETY: `info` is a place for the result, whose name is a string of C's; a library that is loaded already is neither
    // read nor changed.
    unsafe {
        let mut info: libc::Dl_info = core::mem::zeroed();
        if libc::dladdr(here, &raw mut info) != 0 && !info.dli_fname.is_null() {
            libc::dlopen(info.dli_fname, libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE);
        }
    }
}
