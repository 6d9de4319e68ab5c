//! Live and resident bytes over time, and which requests were alive when live bytes were most.

use super::{requests, thread, ticks};
use crate::sys::lock::Lock;
use crate::sys::mmap;
use core::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::*};

/// The most samples. When there are as many, every other one goes, and the next ones come half as often.
const SAMPLES: usize = 1024;

/// Ticks between samples, at first: about a millisecond.
const FIRST_INTERVAL: u64 = 1 << 21;

/// Live bytes must grow by one part in this many before a new peak is looked at more closely.
const PEAK_PARTS: i64 = 64;
/// And by this many bytes at least.
const PEAK_STEP: i64 = 1024;

/// A moment.
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
/// The live bytes at which the peak is looked at again.
static NEXT_PEAK: AtomicI64 = AtomicI64::new(PEAK_STEP);
static NEXT_SAMPLE: AtomicU64 = AtomicU64::new(0);
static TIMELINE: Lock<Samples> = Lock::new(Samples {
    samples: [Sample { ticks: 0, live: 0, resident: 0 }; SAMPLES],
    count: 0,
    interval: FIRST_INTERVAL,
});
/// Which of the two `at_peak` of each request is whole.
static AT_PEAK: AtomicU32 = AtomicU32::new(0);
static LOOKING: Lock<()> = Lock::new(());

/// A thread's live bytes changed by this much.
#[cold]
pub(super) fn moved(bytes: i64) {
    let live = LIVE.fetch_add(bytes, Relaxed).wrapping_add(bytes);
    if live > PEAK.load(Relaxed) {
        PEAK.fetch_max(live, Relaxed);
        if live >= NEXT_PEAK.load(Relaxed) {
            look(live);
        }
    }
    if ticks::now() >= NEXT_SAMPLE.load(Relaxed) {
        sample(live);
    }
}

/// Live bytes now, as far as threads have told, and their peak.
pub(super) fn live() -> (i64, i64) {
    (LIVE.load(Relaxed), PEAK.load(Relaxed))
}

/// Which of the two `at_peak` to read.
pub(super) fn at_peak() -> usize {
    (AT_PEAK.load(Acquire) & 1) as usize
}

/// Notes how many blocks of each request are alive. Unless another thread does so just now.
fn look(live: i64) {
    let Some(_looking) = LOOKING.try_lock() else { return };
    let next = AT_PEAK.load(Relaxed).wrapping_add(1);
    let side = (next & 1) as usize;
    for request in requests::all() {
        request.at_peak.iter().skip(side).take(1).for_each(|count| count.store(0, Relaxed));
    }
    for entry in thread::all().flat_map(thread::Thread::entries) {
        let Some(request) = entry.request() else { continue };
        request.at_peak.iter().skip(side).take(1).for_each(|count| {
            count.store(count.load(Relaxed).wrapping_add(entry.live()), Relaxed);
        });
    }
    AT_PEAK.store(next, Release);
    NEXT_PEAK.store(live.saturating_add((live / PEAK_PARTS).max(PEAK_STEP)), Relaxed);
}

/// Adds a sample. Unless another thread does so just now.
fn sample(live: i64) {
    let Some(mut timeline) = TIMELINE.try_lock() else { return };
    let now = ticks::now();
    if timeline.count >= SAMPLES {
        let half = SAMPLES / 2;
        for place in 0..half {
            let kept = timeline.samples.get(place.wrapping_mul(2)).copied();
            if let (Some(kept), Some(to)) = (kept, timeline.samples.get_mut(place)) {
                *to = kept;
            }
        }
        timeline.count = half;
        timeline.interval = timeline.interval.wrapping_mul(2);
    }
    let count = timeline.count;
    if let Some(place) = timeline.samples.get_mut(count) {
        *place = Sample { ticks: now, live, resident: resident() };
        timeline.count = count.wrapping_add(1);
    }
    NEXT_SAMPLE.store(now.wrapping_add(timeline.interval), Relaxed);
}

/// Calls `each` with the samples, oldest first; with none if a thread was just adding one.
pub(super) fn for_each(mut each: impl FnMut(Sample)) {
    if let Some(timeline) = TIMELINE.try_lock() {
        timeline.samples.iter().take(timeline.count).copied().for_each(&mut each);
    }
}

/// Resident bytes of the process; 0 where `/proc` does not say.
pub(super) fn resident() -> u64 {
    let mut buffer = [0_u8; 128];
    let length = mmap::keeping_errno(|| {
        // SAFETY: the path ends with a zero, and `read` gets a buffer and its length.
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

/// Locks the samples and the peak for the length of a fork.
pub(super) fn before_fork() {
    LOOKING.hold_for_fork();
    TIMELINE.hold_for_fork();
}

/// Unlocks them on both sides.
pub(super) fn after_fork() {
    TIMELINE.release_after_fork();
    LOOKING.release_after_fork();
}

/// Begins anew, in the child of a fork.
pub(super) fn forget() {
    LIVE.store(0, Relaxed);
    PEAK.store(0, Relaxed);
    NEXT_PEAK.store(PEAK_STEP, Relaxed);
    NEXT_SAMPLE.store(0, Relaxed);
    let mut timeline = TIMELINE.lock();
    timeline.count = 0;
    timeline.interval = FIRST_INTERVAL;
}
