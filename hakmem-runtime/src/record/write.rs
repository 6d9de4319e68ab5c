//! The profile as text, as docs/PROFILE.md describes it.

use super::output::Output;
use super::requests::{self, Key, Request};
use super::thread::{self, LIFETIMES, SHORTEST, Thread};
use super::{start, ticks, timeline};
use crate::sys::lock::Lock;
use crate::sys::mmap::keeping_errno;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};

/// Where the profile goes, without the number of the process: `$HAKMEM_PROFILE`, or this.
const DEFAULT_PATH: &[u8] = b"hakmem-profile";
const PATH_MAX: usize = 4096;

static PATH: Lock<Path> = Lock::new(Path { bytes: [0; PATH_MAX], length: 0 });
static WRITTEN: AtomicBool = AtomicBool::new(false);

#[derive(Debug)]
struct Path {
    bytes: [u8; PATH_MAX],
    length: usize,
}

impl Path {
    fn push(&mut self, text: &[u8]) {
        for &byte in text {
            // The last place stays zero.
            if self.length.wrapping_add(1) < PATH_MAX
                && let Some(place) = self.bytes.get_mut(self.length)
            {
                *place = byte;
                self.length = self.length.wrapping_add(1);
            }
        }
    }
}

/// A profile goes to a path of its own: its process stands at the end.
fn path_of(process: i32, noted: &Path) -> Path {
    let mut path = Path { bytes: noted.bytes, length: noted.length };
    let mut digits = [0; 10];
    let mut rest = process.unsigned_abs();
    for place in digits.iter_mut().rev() {
        *place = b'0'.wrapping_add((rest % 10) as u8);
        rest /= 10;
    }
    let start = digits.iter().position(|&digit| digit != b'0').unwrap_or(0);
    path.push(digits.get(start..).unwrap_or_default());
    path
}

/// Notes the path, at the beginning: later the program may change its environment.
pub(super) fn note_path() {
    // SAFETY: a string that ends with a zero; the program has begun just now, and changes nothing meanwhile.
    let value = unsafe { libc::getenv(c"HAKMEM_PROFILE".as_ptr()) };
    let mut path = PATH.lock();
    if value.is_null() {
        path.push(DEFAULT_PATH);
    } else {
        // SAFETY: what `getenv` returns ends with a zero.
        path.push(unsafe { core::ffi::CStr::from_ptr(value) }.to_bytes());
    }
    path.push(b".");
}

/// Writes the profile, once in each process.
pub(super) fn profile() {
    // SAFETY: no preconditions.
    let process = unsafe { libc::getpid() };
    // A child that did not come by `fork` has no counters of its own.
    if process != start::process() || WRITTEN.swap(true, Relaxed) {
        return;
    }
    keeping_errno(|| {
        let Some(noted) = PATH.try_lock() else { return };
        let path = path_of(process, &noted);
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_CLOEXEC;
        // SAFETY: the path ends with a zero.
        let file = unsafe { libc::open(path.bytes.as_ptr().cast(), flags, 0o644) };
        if file >= 0 {
            write(&mut Output::new(file));
            // SAFETY: opened just now.
            unsafe { libc::close(file) };
        } else {
            complain(path.bytes.get(..path.length).unwrap_or_default());
        }
    });
}

fn complain(path: &[u8]) {
    let mut output = Output::new(2);
    output.text(b"hakmem: cannot write the profile ").text(path).end_line();
    output.flush();
}

fn write(output: &mut Output) {
    output.text(b"hakmem-profile 2").end_line();
    program(output);
    output.text(b"runs 1").end_line();
    output.text(b"time microseconds=").number(start::since(ticks::now()) / 1000).end_line();
    let (live, peak) = timeline::live();
    output.text(b"bytes").field("peak", peak).field("end", live).field("resident", timeline::resident() as i64);
    output.end_line();
    for (number, thread) in thread::all().filter(|thread| thread.was_taken()).enumerate() {
        write_thread(output, number, thread);
    }
    for request in requests::all() {
        if let Some(key) = request.key() {
            write_request(output, request, key);
        }
    }
    timeline::for_each(|sample| {
        let at = (start::since(sample.ticks) / 1000) as i64;
        output.text(b"sample").field("microseconds", at).field("live", sample.live);
        output.field("resident", sample.resident as i64).end_line();
    });
    let lines = output.lines();
    output.text(b"end ").number(lines).end_line();
    output.flush();
}

/// What program it is.
fn program(output: &mut Output) {
    let mut name = [0_u8; 1024];
    // SAFETY: a path that ends with a zero, a buffer and its length.
    let length = unsafe { libc::readlink(c"/proc/self/exe".as_ptr(), name.as_mut_ptr().cast(), name.len()) };
    let name = name.get(..usize::try_from(length).unwrap_or(0)).unwrap_or_default();
    output.text(b"program ");
    for &byte in name {
        output.text(&[if byte.is_ascii_control() { b'?' } else { byte }]);
    }
    output.end_line();
}

fn write_thread(output: &mut Output, number: usize, thread: &Thread) {
    output.text(b"thread").field("place", number as i64);
    for (name, count) in [
        ("threads", &thread.threads),
        ("allocated", &thread.allocated),
        ("freed", &thread.freed),
        ("remote", &thread.remote),
        ("bytes", &thread.allocated_bytes),
    ] {
        output.field(name, count.load(Relaxed) as i64);
    }
    output.end_line();
}

fn write_request(output: &mut Output, request: &Request, key: Key) {
    let entries = || thread::all().filter_map(|thread| thread.find(key));
    let sum = |counter: fn(&thread::Entry) -> &AtomicU64| {
        entries().fold(0_u64, |sum, entry| sum.wrapping_add(counter(entry).load(Relaxed))) as i64
    };
    let counts = [
        ("allocated", sum(|entry| &entry.allocated)),
        ("freed", sum(|entry| &entry.freed)),
        ("remote", sum(|entry| &entry.remote)),
        ("grown_from", sum(|entry| &entry.grown_from)),
        ("grown_to", sum(|entry| &entry.grown_to)),
    ];
    // Only its parent asked for that.
    if counts.iter().all(|(_, count)| *count == 0) {
        return;
    }
    output.text(b"request").field("size", key.size() as i64).field("align", key.align() as i64);
    output.field("block", request.block.load(Relaxed) as i64);
    for (name, count) in counts {
        output.field(name, count);
    }
    let live = entries().fold(0_i64, |sum, entry| sum.wrapping_add(entry.live()));
    // What threads have not told yet may be the highest point.
    let untold = entries().map(thread::Entry::high).max().unwrap_or(0);
    let peak = request.peak.load(Relaxed).max(request.live.load(Relaxed).wrapping_add(untold)).max(live);
    let at_peak = request.at_peak.get(timeline::at_peak()).map_or(0, |count| count.load(Relaxed));
    output.field("live", live).field("peak", peak).field("at_peak", at_peak);
    output.text(b" lifetimes=");
    let mut separator: &[u8] = b"";
    for bucket in 0..LIFETIMES {
        let count = entries().fold(0_u64, |sum, entry| {
            sum.wrapping_add(entry.lifetimes.get(bucket).map_or(0, |count| u64::from(count.load(Relaxed))))
        });
        if count > 0 {
            output.text(separator).number((bucket as u64).wrapping_add(SHORTEST.into())).text(b":").number(count);
            separator = b",";
        }
    }
    output.end_line();
}

/// Locks the path for the length of a fork.
pub(super) fn before_fork() {
    PATH.hold_for_fork();
}

/// Unlocks it on both sides.
pub(super) fn after_fork() {
    PATH.release_after_fork();
}

/// The child of a fork has a profile to write, whether its parent has written or not.
pub(super) fn forget() {
    WRITTEN.store(false, Relaxed);
}
