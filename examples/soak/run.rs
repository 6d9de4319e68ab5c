//! A run: threads that are replaced when they end, faults that change each second, and what is left at the end.

pub(crate) use crate::args::Options;
use crate::faults::{FAULTS, REFUSED};
use crate::resident::resident;
use crate::specs::Subject;
use crate::threads::{self, Thread};
use crate::work::{Shared, work};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// A run without an operation for so long hangs, however busy the machine is.
const HANGS: Duration = Duration::from_secs(300);

/// How long memory may take to go back, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// The most that may be resident with nothing in use, beyond what was before the run: metadata, what the C library keeps
/// for its own, and what could not be unmapped.
const LEFT: usize = 48 << 20;

/// What the C library keeps for this program itself, which needs it where there is no more.
const OWN: usize = 24 << 20;

/// What the system does in a second.
#[derive(Debug, Clone, Copy)]
enum Weather {
    Calm,
    /// One call in so many is refused.
    Refused(u32),
    /// The process may map so many bytes more.
    Limited(usize),
}

/// One after the other, a second each.
const WEATHER: [Weather; 10] = [
    Weather::Calm,
    Weather::Refused(100),
    Weather::Calm,
    Weather::Refused(5),
    Weather::Limited(64 << 20),
    Weather::Calm,
    Weather::Refused(1),
    Weather::Limited(0),
    Weather::Calm,
    Weather::Refused(2),
];

impl Weather {
    fn begin(self) {
        let (one_in, limit) = match self {
            Weather::Calm => (0, None),
            Weather::Refused(one_in) => (one_in, None),
            Weather::Limited(more) => (0, Some(more)),
        };
        FAULTS.store(one_in, Ordering::Relaxed);
        let limit = limit.map_or(libc::RLIM_INFINITY, |more| (status("VmSize:") + more) as libc::rlim_t);
        let limit = libc::rlimit { rlim_cur: limit, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: the limit is a valid one.
        unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
    }

    fn name(self) -> String {
        match self {
            Weather::Calm => "calm".to_owned(),
            Weather::Refused(1) => "all refused".to_owned(),
            Weather::Refused(one_in) => format!("one in {one_in} refused"),
            Weather::Limited(more) => format!("{} MiB more", more >> 20),
        }
    }
}

/// A number of bytes that the kernel tells of this process.
fn status(name: &str) -> usize {
    let text = std::fs::read_to_string("/proc/self/status").expect("proc is mounted");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line of that name");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}

/// Has the C library keep memory for this program itself: its bookkeeping is no part of what is tested.
fn prepare() {
    // SAFETY: the parameters are known to the C library, and the block is freed.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN as i32 + 1);
        libc::free(libc::malloc(OWN));
    }
}

fn mib(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Works on an allocator.
pub(crate) fn run<A: Subject>(options: &Options) -> Result<(), String> {
    prepare();
    let before = resident();
    let shared: &'static Shared<A> = Box::leak(Box::new(Shared::new()));
    let threads = work_for(shared, options);
    Weather::Calm.begin();
    // In a thread that ends, and gives up what it keeps.
    threads::spawn(|| shared.clear()).ok_or("there is no thread to be had")?.join();
    let peak = status("VmHWM:");
    let end = Instant::now();
    let (blocks, left) = loop {
        A::purge();
        let (blocks, left) = (A::blocks_live(), resident().saturating_sub(before));
        if blocks == 0 && left < LEFT || end.elapsed() > PATIENCE {
            break (blocks, left);
        }
        thread::sleep(Duration::from_millis(50));
    };
    println!(
        "{} s: {} operations, {} allocations null, {} calls of the system refused, {threads} threads, {} forks; peak RSS {}, \
         after all is freed {} more than before",
        options.seconds,
        shared.counts.operations.load(Ordering::Relaxed),
        shared.counts.nulls.load(Ordering::Relaxed),
        REFUSED.load(Ordering::Relaxed),
        shared.counts.forks.load(Ordering::Relaxed),
        mib(peak),
        mib(left),
    );
    match (blocks, left) {
        (0, ..LEFT) => Ok(()),
        (0, _) => Err(format!("{} are resident with nothing in use", mib(left))),
        _ => Err(format!("{blocks} blocks are lost")),
    }
}

/// Lets threads work until the time is over. Returns how many there were.
fn work_for<A: Subject>(shared: &'static Shared<A>, options: &Options) -> u64 {
    let start = Instant::now();
    let mut working: Vec<Option<Thread>> = Vec::new();
    working.resize_with(options.threads as usize, || None);
    let (mut threads, mut second, mut last) = (0, 0, (0, start));
    while start.elapsed() < options.time() {
        for place in &mut working {
            if place.as_ref().is_none_or(Thread::is_finished) {
                place.take().into_iter().for_each(Thread::join);
                let seed = u64::from(options.seed) << 32 | threads;
                // Where the limit of address space is reached there is none to be had.
                *place = threads::spawn(move || work(shared, seed));
                threads += u64::from(place.is_some());
            }
        }
        if start.elapsed().as_secs() >= second {
            let weather = WEATHER[second as usize % WEATHER.len()];
            weather.begin();
            let operations = shared.counts.operations.load(Ordering::Relaxed);
            println!(
                "{second:6} s {operations:12} operations {:9} nulls {:9} refused {threads:6} threads {:5} forks {:>11}  {}",
                shared.counts.nulls.load(Ordering::Relaxed),
                REFUSED.load(Ordering::Relaxed),
                shared.counts.forks.load(Ordering::Relaxed),
                mib(resident()),
                weather.name(),
            );
            second = start.elapsed().as_secs() + 1;
            if operations != last.0 {
                last = (operations, Instant::now());
            }
            assert!(last.1.elapsed() < HANGS, "no operation for {HANGS:?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
    shared.stop.store(true, Ordering::Relaxed);
    working.into_iter().flatten().for_each(Thread::join);
    threads
}
