//! Live and resident bytes over time, and which requests were live at the peak of live bytes.

use super::{counters, requests, ticks};
use crate::sys::lock::Lock;
use crate::sys::{errno, mmap};
use core::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::*};

/// The most samples. At that number, every other one is dropped and the interval between samples doubled.
const SAMPLES: usize = 1024;

/// Ticks between samples, at first: about a millisecond.
const FIRST_INTERVAL: u64 = 1 << 21;

/// The live blocks of each request are counted again when live bytes exceed the last such peak by this fraction of it
/// (64 for a 64th), and by at least `PEAK_STEP` bytes.
const PEAK_DIVISOR: i64 = 64;
const PEAK_STEP: i64 = 1024;

#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) ticks: u64,
    pub(super) live: i64,
    pub(super) resident: u64,
}

#[derive(Debug)]
pub(super) struct Samples {
    samples: [Sample; SAMPLES],
    count: usize,
    interval: u64,
}

static LIVE: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);
/// The live bytes at which the requests' live blocks are counted again.
static NEXT_PEAK: AtomicI64 = AtomicI64::new(PEAK_STEP);
static NEXT_SAMPLE: AtomicU64 = AtomicU64::new(0);
static TIMELINE: Lock<Samples> = Lock::new(Samples {
    samples: [Sample { ticks: 0, live: 0, resident: 0 }; SAMPLES],
    count: 0,
    interval: FIRST_INTERVAL,
});
/// At how many peaks the live blocks were counted. The lowest bit tells which side of each request's `at_peak` is
/// complete.
static PEAKS_COUNTED: AtomicU32 = AtomicU32::new(0);
/// Held while they are counted.
static COUNTING: Lock<()> = Lock::new(());

/// Adds to the live bytes.
#[cold]
pub(super) fn add(bytes: i64) {
    let live = LIVE.fetch_add(bytes, Relaxed).wrapping_add(bytes);
    if live > PEAK.load(Relaxed) {
        PEAK.fetch_max(live, Relaxed);
        if live >= NEXT_PEAK.load(Relaxed) {
            count_live(live);
        }
    }
    if ticks::now() >= NEXT_SAMPLE.load(Relaxed) {
        sample(live);
    }
}

/// The live bytes that threads have published, and their peak.
pub(super) fn live() -> (i64, i64) {
    (LIVE.load(Relaxed), PEAK.load(Relaxed))
}

/// Which of the two sides of each request's `at_peak` to read.
pub(super) fn complete_side() -> usize {
    (PEAKS_COUNTED.load(Acquire) & 1) as usize
}

/// Stores how many blocks of each request are live, unless another thread is doing so.
fn count_live(live: i64) {
    let Some(_counting) = COUNTING.try_lock() else { return };
    let next = PEAKS_COUNTED.load(Relaxed).wrapping_add(1);
    let side = (next & 1) as usize;
    for count in requests::all().iter().filter_map(|request| request.at_peak.get(side)) {
        count.store(0, Relaxed);
    }
    for entry in counters::all().flat_map(counters::Thread::entries) {
        if let Some(count) = entry.request().and_then(|request| request.at_peak.get(side)) {
            count.store(count.load(Relaxed).wrapping_add(entry.live()), Relaxed);
        }
    }
    PEAKS_COUNTED.store(next, Release);
    NEXT_PEAK.store(live.saturating_add((live / PEAK_DIVISOR).max(PEAK_STEP)), Relaxed);
}

/// Adds a sample, unless another thread is doing so.
fn sample(live: i64) {
    let Some(mut timeline) = TIMELINE.try_lock() else { return };
    let now = ticks::now();
    if timeline.count >= SAMPLES {
        let half = SAMPLES / 2;
        for index in 0..half {
            let kept = timeline.samples.get(index.wrapping_mul(2)).copied();
            if let (Some(kept), Some(target)) = (kept, timeline.samples.get_mut(index)) {
                *target = kept;
            }
        }
        timeline.count = half;
        timeline.interval = timeline.interval.wrapping_mul(2);
    }
    let count = timeline.count;
    if let Some(free) = timeline.samples.get_mut(count) {
        *free = Sample { ticks: now, live, resident: resident() };
        timeline.count = count.wrapping_add(1);
    }
    NEXT_SAMPLE.store(now.wrapping_add(timeline.interval), Relaxed);
}

/// Calls `each` with the samples, oldest first; with none if a thread is adding one.
pub(super) fn for_each(mut each: impl FnMut(Sample)) {
    if let Some(timeline) = TIMELINE.try_lock() {
        timeline.samples.iter().take(timeline.count).copied().for_each(&mut each);
    }
}

/// Resident bytes of the process; 0 if `/proc` is not mounted.
pub(super) fn resident() -> u64 {
    let mut buffer = [0_u8; 128];
    let length = errno::preserve(|| {
        // SAFETY: the path is a C string, and `read` gets a buffer and its length. If `open` fails, `read` and `close`
        // get -1 and fail without an effect.
        unsafe {
            let file = libc::open(c"/proc/self/statm".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
            let length = libc::read(file, buffer.as_mut_ptr().cast(), buffer.len());
            libc::close(file);
            length
        }
    });
    let text = buffer.get(..usize::try_from(length).unwrap_or(0)).unwrap_or_default();
    let field = text.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    let pages =
        field.iter().fold(0_u64, |sum, digit| sum.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0'))));
    pages.wrapping_mul(mmap::page_size() as u64)
}

/// Holds the locks for a fork.
pub(super) fn before_fork() {
    COUNTING.hold_for_fork();
    TIMELINE.hold_for_fork();
}

/// Releases them on both sides.
pub(super) fn after_fork() {
    TIMELINE.release_after_fork();
    COUNTING.release_after_fork();
}

/// In the child of a fork: no live bytes, and no samples.
pub(super) fn reset() {
    LIVE.store(0, Relaxed);
    PEAK.store(0, Relaxed);
    NEXT_PEAK.store(PEAK_STEP, Relaxed);
    NEXT_SAMPLE.store(0, Relaxed);
    let mut timeline = TIMELINE.lock();
    timeline.count = 0;
    timeline.interval = FIRST_INTERVAL;
}
