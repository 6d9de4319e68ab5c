//! The profile as text in the format of docs/PROFILE.md.

use super::counters::{self, LIFETIMES, SHORTEST, Thread};
use super::output::Output;
use super::requests::{self, Key, Request};
use super::{process, ticks, timeline};
use crate::sys::lock::Lock;
use crate::sys::{errno, program};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};

/// The path of the profile without the process id, if `$HAKMEM_PROFILE` is not set.
const DEFAULT_PATH: &[u8] = b"hakmem-profile";
const PATH_MAX: usize = 4096;

/// The path of the profile without the process id.
static PATH: Lock<Path> = Lock::new(Path { bytes: [0; PATH_MAX], length: 0 });
/// Whether this process has written its profile.
static WRITTEN: AtomicBool = AtomicBool::new(false);

/// A C string. Invariant: `length < PATH_MAX`, and the bytes from `length` on are zero.
#[derive(Debug, Clone)]
struct Path {
    bytes: [u8; PATH_MAX],
    length: usize,
}

impl Path {
    /// Appends as much of a text as there is room for.
    fn push(&mut self, text: &[u8]) {
        for &byte in text {
            // The last byte stays zero.
            if self.length.wrapping_add(1) < PATH_MAX
                && let Some(free) = self.bytes.get_mut(self.length)
            {
                *free = byte;
                self.length = self.length.wrapping_add(1);
            }
        }
    }

    /// Appends a number in decimal.
    fn push_number(&mut self, number: u32) {
        let mut digits = [0; 10];
        let mut rest = number;
        for digit in digits.iter_mut().rev() {
            *digit = b'0'.wrapping_add((rest % 10) as u8);
            rest /= 10;
        }
        let start = digits.iter().position(|&digit| digit != b'0').unwrap_or(0);
        self.push(digits.get(start..).unwrap_or_default());
    }

    /// Opens the file for writing; a negative number if that fails.
    fn create(&self) -> i32 {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_CLOEXEC;
        // SAFETY: `bytes` ends with a zero, so it is a C string.
        unsafe { libc::open(self.bytes.as_ptr().cast(), flags, 0o644) }
    }
}

/// Reads the path from the environment, when the recording starts: later the program may change its environment.
pub(super) fn set_path() {
    let mut path = PATH.lock();
    let value = program::variable(c"HAKMEM_PROFILE");
    path.push(value.map_or(DEFAULT_PATH, core::ffi::CStr::to_bytes));
    path.push(b".");
}

/// Writes the profile, once in each process.
pub(super) fn write() {
    // The counters of a child that was made by `vfork` or `clone` are its parent's.
    if process::current_id() != process::id() || WRITTEN.swap(true, Relaxed) {
        return;
    }
    errno::preserve(|| {
        let Some(mut path) = PATH.try_lock().map(|path| path.clone()) else { return };
        path.push_number(process::id().unsigned_abs());
        let file = path.create();
        if file >= 0 {
            write_to(&mut Output::new(file));
            // SAFETY: `create` opened the file, and nothing else uses it.
            unsafe { libc::close(file) };
        } else {
            report_failure(path.bytes.get(..path.length).unwrap_or_default());
        }
    });
}

fn report_failure(path: &[u8]) {
    let mut output = Output::new(libc::STDERR_FILENO);
    output.text(b"hakmem: cannot write the profile ").text(path).end_line();
    output.flush();
}

fn write_to(output: &mut Output) {
    output.text(b"hakmem-profile 2").end_line();
    write_program(output);
    output.text(b"runs 1").end_line();
    output.text(b"time microseconds=").number(process::since_start(ticks::now()) / 1000).end_line();
    let (live, peak) = timeline::live();
    output.text(b"bytes").field("peak", peak).field("end", live).field("resident", timeline::resident() as i64);
    output.end_line();
    for (number, thread) in counters::all().filter(|thread| thread.was_taken()).enumerate() {
        write_thread(output, number, thread);
    }
    for request in requests::all() {
        if let Some(key) = request.key() {
            write_request(output, request, key);
        }
    }
    timeline::for_each(|sample| {
        let at = (process::since_start(sample.ticks) / 1000) as i64;
        output.text(b"sample").field("microseconds", at).field("live", sample.live);
        output.field("resident", sample.resident as i64).end_line();
    });
    let lines = output.lines();
    output.text(b"end ").number(lines).end_line();
    output.flush();
}

/// The path of the program. Control characters, which could end the line, become `?`.
fn write_program(output: &mut Output) {
    let mut name = [0_u8; 1024];
    // SAFETY: the path is a C string, and the C library writes at most as many bytes as `name` has.
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
    let entries = || counters::all().filter_map(|thread| thread.find(key));
    let sum = |counter: fn(&counters::Entry) -> &AtomicU64| {
        entries().fold(0_u64, |sum, entry| sum.wrapping_add(counter(entry).load(Relaxed))) as i64
    };
    let counts = [
        ("allocated", sum(|entry| &entry.allocated)),
        ("freed", sum(|entry| &entry.freed)),
        ("remote", sum(|entry| &entry.remote)),
        ("grown_from", sum(|entry| &entry.grown_from)),
        ("grown_to", sum(|entry| &entry.grown_to)),
    ];
    // In the child of a fork: only the parent made such requests.
    if counts.iter().all(|(_, count)| *count == 0) {
        return;
    }
    output.text(b"request").field("size", key.size() as i64).field("align", key.align() as i64);
    output.field("block", request.block.load(Relaxed) as i64);
    for (name, count) in counts {
        output.field(name, count);
    }
    let live = entries().fold(0_i64, |sum, entry| sum.wrapping_add(entry.live()));
    // The peak may be among what threads have not published.
    let unpublished = entries().map(counters::Entry::unpublished_high).max().unwrap_or(0);
    let peak = request.peak.load(Relaxed).max(request.live.load(Relaxed).wrapping_add(unpublished)).max(live);
    let at_peak = request.at_peak.get(timeline::complete_side()).map_or(0, |count| count.load(Relaxed));
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

/// Holds the lock for a fork.
pub(super) fn before_fork() {
    PATH.hold_for_fork();
}

/// Releases it on both sides.
pub(super) fn after_fork() {
    PATH.release_after_fork();
}

/// In the child of a fork: its profile is not written yet, whether the parent's is or not.
pub(super) fn reset() {
    WRITTEN.store(false, Relaxed);
}
