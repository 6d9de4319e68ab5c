//! Every call of the allocator to the kernel and to POSIX threads fails: once, and from then on. A script takes every way to
//! them; a first run counts the calls, and for each of them a process of its own runs the script again. Each allocation
//! is null or a block that keeps its pattern, nothing ends or hangs, and afterwards the script runs again in full, with
//! no more memory than without the failure.

use crate::blocks::{KIB, MIB, Subject, blocks_live, subjects};
use crate::faults::{self, Counts, Refused, aside, count_this_thread};
use crate::forks;
use crate::rerun::isolated;
use std::alloc::Layout;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

mod default {
    hakmem::allocator! {
        pub(super) struct Heap;
    }
}

/// Regions of 8 MiB, so that the script needs several.
mod small {
    hakmem::allocator! {
        pub(super) struct Heap {
            huge_pages = true
            superslab = { size = "256 KiB", slab = "16 KiB" }

            [purge]
            delay_ms = 1

            [[class]]
            sizes = { from = 16, to = 1024, steps_per_doubling = 1 }

            [[class]]
            sizes = ["2 KiB", "4 KiB", "8 KiB", "128 KiB"]
            layers = ["heapv2"]
        }
    }
}

mod layers {
    hakmem::allocator! {
        pub(super) struct Heap {
            tls = "initial-exec"
            superslab = { size = "1 MiB", slab = "64 KiB" }

            [purge]
            delay_ms = 0

            [[class]]
            size = 64
            layers = ["quarantine", "sll"]

            [[class]]
            sizes = [256, 512]
            layers = ["unified", "ring"]
            free = "deferred"
            stats = true

            [[class]]
            size = 1024
            layers = ["ultrahot", "heapv2"]
            header = "region-id"

            [[class]]
            sizes = ["4 KiB", "8 KiB", "32 KiB"]
            layers = ["c23", "sfc"]
        }
    }
}

mod workers {
    hakmem::allocator! {
        pub(super) struct Heap {
            [purge]
            background = true
            delay_ms = 1

            [defaults]
            refill = "background"
            layers = ["unified", "sll"]

            [[class]]
            sizes = { from = 64, to = "8 KiB", steps_per_doubling = 2 }
        }
    }
}

subjects!(default::Heap, small::Heap, layers::Heap, workers::Heap);

/// In a run of a sample, one call in so many fails.
const EVERY: usize = 97;

/// How long the allocator's threads may take to give memory back, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(20);

/// A block with a pattern: words at its start, its end, and every so many bytes.
struct Held<A: Subject> {
    address: *mut u8,
    layout: Layout,
    seed: u64,
    heap: PhantomData<A>,
}

// SAFETY: the block is owned, and the allocators under test are for any thread.
unsafe impl<A: Subject> Send for Held<A> {}

const WORD: usize = size_of::<u64>();

impl<A: Subject> Held<A> {
    /// A new block. `None`: no memory.
    fn new(size: usize, align: usize, seed: u64) -> Option<Held<A>> {
        let layout = Layout::from_size_align(size, align).expect("a power of two");
        let zeroed = seed.is_multiple_of(3);
        // SAFETY: the size is not 0.
        let address = unsafe { if zeroed { A::default().alloc_zeroed(layout) } else { A::default().alloc(layout) } };
        if address.is_null() {
            return None;
        }
        let held = Held { address, layout, seed, heap: PhantomData };
        assert!(address.addr().is_multiple_of(align) && A::owns(address) && A::owns(address.wrapping_add(size - 1)));
        if zeroed {
            held.places(size).for_each(|at| assert_eq!(held.read(at), 0, "{layout:?} is not zero at {at}"));
        }
        held.fill();
        Some(held)
    }

    /// Where the words are in the first `size` bytes, which are no more than the block has.
    fn places(&self, size: usize) -> impl Iterator<Item = usize> + use<A> {
        // The same for all sizes of a block that grows up to the double.
        let step = if size <= 64 * KIB { KIB } else { 64 * KIB };
        (0..size - WORD + 1).step_by(step).chain([size - WORD])
    }

    fn read(&self, at: usize) -> u64 {
        // SAFETY: within the block.
        unsafe { self.address.add(at).cast::<u64>().read_unaligned() }
    }

    fn fill(&self) {
        for at in self.places(self.layout.size()) {
            // SAFETY: within the block, which is ours.
            unsafe { self.address.add(at).cast::<u64>().write_unaligned(self.seed ^ at as u64) };
        }
    }

    fn check(&self, kept: usize) {
        for at in self.places(self.layout.size()).filter(|at| at + WORD <= kept) {
            assert_eq!(self.read(at), self.seed ^ at as u64, "{:?} at {at}", self.layout);
        }
    }

    /// `false`: no memory, and the block is as it was.
    fn resize(&mut self, size: usize) -> bool {
        let old = Layout::from_size_align(size, self.layout.align()).expect("as before");
        let before = self.layout;
        // SAFETY: the block is ours, of this layout.
        let address = unsafe { A::default().realloc(self.address, before, size) };
        if address.is_null() {
            self.check(before.size());
            return false;
        }
        self.address = address;
        self.check(size.min(before.size()));
        self.layout = old;
        self.fill();
        true
    }
}

impl<A: Subject> Drop for Held<A> {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.check(self.layout.size());
        }
        // SAFETY: the block is ours, of this layout.
        unsafe { A::default().dealloc(self.address, self.layout) };
    }
}

/// One run of the script: the blocks that it holds, and how many it did not get.
struct Run<A: Subject> {
    held: Vec<Held<A>>,
    nulls: u32,
    seed: u64,
}

impl<A: Subject> Run<A> {
    fn new() -> Run<A> {
        Run { held: Vec::with_capacity(1 << 14), nulls: 0, seed: 0 }
    }

    fn take(&mut self, count: usize, size: usize, align: usize) {
        for _ in 0..count {
            self.seed += 1;
            match Held::new(size, align, self.seed) {
                Some(held) => self.held.push(held),
                None => {
                    // The others would fail as this one did.
                    self.nulls += 1;
                    return;
                }
            }
        }
    }

    fn resize_last(&mut self, sizes: &[usize]) {
        let Some(last) = self.held.last_mut() else { return };
        self.nulls += sizes.iter().map(|&size| u32::from(!last.resize(size))).sum::<u32>();
    }

    /// Frees every second one.
    fn free_half(&mut self) {
        let mut number = 0;
        self.held.retain(|_| {
            number += 1;
            number % 2 == 0
        });
    }

    fn free(&mut self) {
        self.held.clear();
    }

    fn absorb(&mut self, mut other: Run<A>) {
        self.held.append(&mut other.held);
        self.nulls += other.nulls;
    }

    fn small(&mut self) {
        for (count, size) in [(600, 64), (100, 512), (70, 1000), (120, 8 * KIB), (40, 120 * KIB)] {
            self.take(count, size, 8);
        }
    }

    fn large(&mut self, sizes: &[usize]) {
        for &size in sizes {
            self.take(1, size, 8);
            // In place, where nothing is behind it; away, with something behind; back; into a class and out of it.
            self.resize_last(&[size + size / 2]);
            self.take(1, size, 8);
            let count = self.held.len();
            if count >= 2 {
                self.held.swap(count - 1, count - 2);
            }
            self.resize_last(&[size * 2, size, size / 2, 500, size]);
        }
        for align in [64 * KIB, 8 * MIB] {
            self.take(1, MIB, align);
        }
    }
}

/// Runs `body` on a thread of its own, whose calls count.
fn on_a_thread<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let counted = || {
        count_this_thread();
        body()
    };
    aside(|| thread::spawn(counted).join().expect("the thread ends well"))
}

/// Every way to the kernel. Returns how many blocks there were not.
fn script<A: Subject>() -> u32 {
    let mut run = Run::<A>::new();
    run.take(1, 64, 8);
    run.small();
    run.large(&[20 * KIB, 100 * KIB, 300 * KIB, MIB, 2 * MIB, 33 * MIB]);
    // What another thread frees, and what one leaves behind that ends.
    let other = on_a_thread(move || {
        run.free_half();
        let mut other = Run::new();
        other.small();
        other.large(&[100 * KIB, 300 * KIB, MIB]);
        other.free_half();
        run.absorb(other);
        run
    });
    run = other;
    run.free_half();
    A::purge();
    run.small();
    // Blocks that a thread keeps for itself, and gives up at another's purge.
    let (keeps, is_kept) = sync_channel::<()>(0);
    let (go, may_go) = sync_channel::<()>(0);
    let keeper = aside(|| {
        thread::spawn(move || {
            count_this_thread();
            let mut kept = Run::<A>::new();
            [20, 100, 300, 500].into_iter().for_each(|size| kept.take(3, size * KIB, 8));
            kept.free();
            aside(|| {
                keeps.send(()).expect("the script waits");
                may_go.recv().expect("the script goes on");
            });
            kept.take(10, 100 * KIB, 8);
            kept
        })
    });
    aside(|| is_kept.recv().expect("the thread goes on"));
    A::purge();
    run.take(5, 200 * KIB, 8);
    run.absorb(aside(|| {
        go.send(()).expect("the thread waits");
        keeper.join().expect("the thread ends well")
    }));
    // Beyond the delay of two of the specs.
    run.free_half();
    thread::sleep(Duration::from_millis(3));
    run.small();
    forks::reap(forks::fork(|| {
        let mut other = on_a_thread(|| {
            let mut other = Run::<A>::new();
            other.small();
            other
        });
        other.large(&[300 * KIB, 2 * MIB]);
        other.free();
        run.held.iter().for_each(|held| held.check(held.layout.size()));
        A::purge();
        // SAFETY: no other thread of the program's is left.
        unsafe { libc::exit(0) };
    }));
    run.free();
    A::purge();
    run.nulls
}

/// What a process has mapped and what is resident of it, in KiB.
fn memory() -> (usize, usize) {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("proc is mounted");
    let mut pages = statm.split(' ').map(|number| number.parse::<usize>().expect("a number"));
    (pages.next().unwrap_or(0) * 4, crate::resident::resident() >> 10)
}

/// What a process of its own reports: memory in KiB, and blocks that are lost.
#[derive(Debug, Clone, Copy, Default)]
struct Report {
    nulls: u32,
    mapped: usize,
    resident: usize,
    lost: u64,
}

impl Report {
    /// Once the allocator's threads have nothing left to do: as little as `most`, or what it is after a time.
    fn new<A: Subject>(nulls: u32, most: Report) -> Report {
        let start = Instant::now();
        loop {
            A::purge();
            let (mapped, resident) = memory();
            let report = Report { nulls, mapped, resident, lost: blocks_live::<A>() };
            if report.is_no_more_than(most) || start.elapsed() > PATIENCE {
                return report;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn is_no_more_than(self, most: Report) -> bool {
        self.nulls <= most.nulls
            && self.mapped <= most.mapped
            && self.resident <= most.resident
            && self.lost <= most.lost
    }
}

/// Runs the script with calls refused, and then without. Waits until no more than `most` is left.
fn run<A: Subject>(refused: Refused, notes: bool, most: Report) -> (Report, Counts) {
    let mut ends = [0; 2];
    // SAFETY: a place for two file descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    let process = forks::fork(|| {
        faults::start(refused, notes);
        count_this_thread();
        let nulls = script::<A>();
        faults::stop();
        assert_eq!(script::<A>(), 0, "there is less memory than before");
        let Counts { kept, is_place_lost, .. } = faults::counts();
        let more = if is_place_lost { usize::MAX / 2 } else { kept >> 10 };
        let most = Report { mapped: most.mapped + more, resident: most.resident + (kept >> 10), ..most };
        let report = Report::new::<A>(nulls, most);
        assert!(notes || report.is_no_more_than(most), "{report:?}, but {most:?} was expected");
        // SAFETY: the bytes of a struct of numbers; then the process, which is the child's, ends.
        unsafe {
            libc::write(ends[1], (&raw const report).cast(), size_of::<Report>());
            libc::exit(0);
        }
    });
    let status = forks::status(process);
    let counts = faults::counts();
    assert_eq!(status, 0, "{refused:?}: {counts:?}");
    let mut report = Report::default();
    // SAFETY: a place for numbers; the file descriptors are ours.
    unsafe {
        assert_eq!(libc::read(ends[0], (&raw mut report).cast(), size_of::<Report>()), size_of::<Report>() as isize);
        ends.into_iter().for_each(|end| assert_eq!(libc::close(end), 0));
    }
    (report, counts)
}

/// The ways in which to refuse the calls: each of them; or the first and the last from each place, and a few others.
fn ways(calls: &[String], all: bool) -> Vec<Refused> {
    let mut ways = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let (is_first, is_last) = (!calls[..index].contains(call), !calls[index + 1..].contains(call));
        let number = index as u32 + 1;
        if all || is_first || is_last || index % EVERY == 0 {
            ways.push(Refused::Once(number));
        }
        if all || is_first {
            ways.push(Refused::From(number));
        }
        if call.starts_with("mremap") && (all || is_first) {
            ways.extend([Refused::HalfDone(number), Refused::Unknown(number)]);
        }
    }
    ways
}

/// `more`: by how many MiB of address space the regions and segments of a run may differ from those of another.
fn each_call_fails<A: Subject>(more: usize, all: bool) {
    // One arena for all threads: what the system's allocator maps does not depend on their timing.
    // SAFETY: no preconditions.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    faults::prepare();
    let any = Report { nulls: 0, mapped: usize::MAX / 4, resident: usize::MAX / 4, lost: 0 };
    run::<A>(Refused::None, true, any);
    let calls = faults::noted();
    let mut places = BTreeMap::<&str, u32>::new();
    calls.iter().for_each(|call| *places.entry(call).or_default() += 1);
    places.iter().for_each(|(place, count)| println!("{count:5} {place}"));
    // The worst of a few, as threads take turns.
    let references = [(); 3].map(|()| run::<A>(Refused::None, false, any).0);
    let worst = |of: fn(&Report) -> usize| references.iter().map(of).max().unwrap_or(0);
    // One refusal costs one block at most. Stacks and metadata differ by a few pages.
    let most = Report {
        nulls: 1,
        mapped: worst(|report| report.mapped) + (more << 10),
        resident: worst(|report| report.resident) + 256,
        lost: 0,
    };
    let ways = ways(&calls, all);
    let (mut refused, mut nulls) = (0, 0);
    for &way in &ways {
        let most = if let Refused::From(_) = way { Report { nulls: u32::MAX, ..most } } else { most };
        let (report, counts) = run::<A>(way, false, most);
        (refused, nulls) = (refused + counts.refused, nulls + report.nulls);
    }
    println!(
        "{} calls from {} places; {} runs, {refused} calls refused, {nulls} allocations null",
        calls.len(),
        places.len(),
        ways.len()
    );
    assert!(refused as usize >= ways.len() / 2 && nulls > 0, "calls were refused");
}

macro_rules! specs {
    ($($short:ident, $all:ident, $heap:ty, $more:expr;)*) => {$(
        #[test]
        fn $short() {
            print!("{}", isolated(stringify!($short), || each_call_fails::<$heap>($more, false)));
        }

        #[test]
        #[ignore = "takes minutes"]
        fn $all() {
            print!("{}", isolated(stringify!($all), || each_call_fails::<$heap>($more, true)));
        }
    )*};
}

specs! {
    of_the_default_spec, all_of_the_default_spec, default::Heap, 40;
    with_small_regions, all_with_small_regions, small::Heap, 4;
    with_layers, all_with_layers, layers::Heap, 40;
    with_workers, all_with_workers, workers::Heap, 40;
}
