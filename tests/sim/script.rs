//! What the threads of a run do: random operations on blocks, each checked against the model.

use crate::blocks::{KIB, MIB, Random, Subject, blocks_live};
use crate::model::Held;
use crate::schedule::{self, Event, fail, me, point, with};
use crate::threads;
use libc::c_void;
use std::alloc::Layout;
use std::cell::Cell;
use std::sync::atomic::Ordering;

/// An allocator under the simulator.
pub(crate) trait Spec: Subject {
    /// Sizes that its classes serve.
    const SIZES: &'static [usize];
    /// Whether a thread of its own keeps blocks.
    const KEEPS: bool;
    fn idle();
    fn prewarm(layout: Layout);
}

/// A thread of the script.
struct Thread<A> {
    random: Random,
    operations: usize,
    /// Of 200 operations so many allocate large blocks, and so many purge.
    large: usize,
    purges: usize,
    /// Its blocks.
    blocks: Vec<usize>,
    heap: A,
}

/// Forks of a run, at most.
const FORKS: u64 = 3;

/// Pages that may wait for a purge though nothing happens: two slabs, of which blocks are in the queue of `refill = "background"`.
const SPARE: u64 = 8;

impl<A: Spec> Thread<A> {
    fn new(mut random: Random, operations: usize) -> Thread<A> {
        let [large, purges] = [[10, 1], [10, 8], [80, 16]][random.below(3)];
        Thread { random, operations, large, purges, blocks: Vec::new(), heap: A::default() }
    }

    fn run(&mut self) {
        let mut growth = 50;
        for number in 0..self.operations {
            if number % 16 == 0 {
                growth = [10, 30, 50, 70, 90][self.random.below(5)];
            }
            self.operate(growth);
        }
        // Some are left to those who come after this thread.
        if self.random.below(2) == 0 {
            while let Some(address) = self.blocks.pop() {
                if self.random.below(4) > 0 { self.free(address) } else { self.send(address) }
            }
        }
        let left = std::mem::take(&mut self.blocks);
        point(Event::Script("leave", left.len()));
        with(|run| run.model.sent.extend(left));
    }

    fn operate(&mut self, growth: usize) {
        let kind = self.random.below(200);
        if kind < self.purges {
            point(Event::Script("purge", 0));
            A::purge();
            return;
        }
        if self.random.below(200) < self.large && self.random.below(100) < growth {
            // Mostly of few lengths, as a thread's cache has them.
            let size = match self.random.below(4) {
                0 => 40 * KIB + self.random.below(5 * MIB),
                1 => 40 * KIB + self.random.below(500 * KIB),
                _ => (2 + self.random.below(3)) * 32 * KIB,
            };
            return self.allocate(size);
        }
        match self.random.below(200) {
            0..=4 => {
                let most = 12_000_000;
                let time = self.random.below(most) as u64;
                point(Event::Script("pause", time as usize));
                with(|run| run.now += time);
            }
            5 => self.fork(),
            51..=53 => {
                point(Event::Script("idle", 0));
                A::idle();
            }
            54 => {
                let layout = Layout::from_size_align(A::SIZES[self.random.below(A::SIZES.len())], 8);
                point(Event::Script("prewarm", 0));
                A::prewarm(layout.expect("a power of two"));
            }
            6..=25 => self.take(),
            26..=35 => self.resize(),
            36..=50 => {
                if let Some(address) = self.any() {
                    self.send(address);
                }
            }
            _ if self.random.below(100) < growth => {
                let size = A::SIZES[self.random.below(A::SIZES.len())];
                let less = self.random.below(8);
                self.allocate(size - less);
            }
            _ => {
                if let Some(address) = self.any() {
                    self.free(address);
                }
            }
        }
    }

    /// Takes a block of this thread's out.
    fn any(&mut self) -> Option<usize> {
        let count = self.blocks.len();
        (count > 0).then(|| self.blocks.swap_remove(self.random.below(count)))
    }

    fn allocate(&mut self, size: usize) {
        let align = if self.random.below(16) == 0 { 8 << self.random.below(10) } else { 8 };
        let layout = Layout::from_size_align(size, align).expect("a power of two");
        let zeroed = self.random.below(4) == 0;
        point(Event::Script("allocate", size));
        // SAFETY: the size is not 0.
        let block = unsafe { if zeroed { self.heap.alloc_zeroed(layout) } else { self.heap.alloc(layout) } };
        if let Some(held) = enter::<A>(block, layout) {
            if zeroed && let Some((offset, found)) = held.find_used() {
                fail(&format!("{held}, zeroed, has {found:#x} at {offset}"));
            }
            held.fill();
            self.blocks.push(held.address);
        }
    }

    fn resize(&mut self) {
        let Some(address) = self.any() else { return };
        let held = leave(address);
        let size = held.layout.size();
        let new = match self.random.below(3) {
            0 => A::SIZES[self.random.below(A::SIZES.len())],
            1 => size / 2 + 8,
            _ => (size + self.random.below(2 * size)).min(6 * MIB),
        };
        point(Event::Script("resize", new));
        let old = std::ptr::with_exposed_provenance_mut(address);
        // SAFETY: the block is this thread's, of this layout, and no other thread knows of it.
        let block = unsafe { self.heap.realloc(old, held.layout, new) };
        if block.is_null() {
            refused();
            with(|run| run.model.put_back(held));
            self.blocks.push(address);
            return;
        }
        let layout = Layout::from_size_align(new, held.layout.align()).expect("as before");
        if let Some((offset, found)) = held.find_wrong(block.expose_provenance(), size.min(new)) {
            fail(&format!("{held}, resized to {new} bytes at {block:p}, has {found:#x} at {offset}"));
        }
        if let Some(held) = enter::<A>(block, layout) {
            held.fill();
            self.blocks.push(held.address);
        }
    }

    fn free(&mut self, address: usize) {
        let held = leave(address);
        point(Event::Script("free", held.layout.size()));
        // SAFETY: the block is the script's, of this layout, and no other thread knows of it.
        unsafe { self.heap.dealloc(std::ptr::with_exposed_provenance_mut(address), held.layout) };
    }

    /// (Before a block is given away there is a point, so that all earlier stores reach memory, as a release would have it.)
    fn send(&mut self, address: usize) {
        point(Event::Script("send", 0));
        with(|run| run.model.sent.push(address));
    }

    fn take(&mut self) {
        point(Event::Script("take", 0));
        let random = &mut self.random;
        let taken = with(|run| {
            let sent = &mut run.model.sent;
            (!sent.is_empty()).then(|| sent.swap_remove(random.below(sent.len())))
        });
        if let Some(address) = taken {
            if self.random.below(4) > 0 { self.free(address) } else { self.blocks.push(address) }
        }
    }

    fn fork(&mut self) {
        point(Event::Script("fork", 0));
        let forks = with(|run| run.result.forks.load(Ordering::Relaxed));
        if forks == FORKS || with(|run| run.is_forked_run()) {
            return;
        }
        with(|run| {
            run.result.forks.store(forks + 1, Ordering::Relaxed);
            run.expect_child();
        });
        // SAFETY: the child calls what is under test, and ends.
        match unsafe { libc::fork() } {
            0 => {
                self.live_as_a_child();
                // SAFETY: no preconditions.
                unsafe { libc::_exit(0) }
            }
            child => {
                let mut status = 0;
                // SAFETY: the place for the result is a local.
                unsafe { libc::waitpid(child, &raw mut status, 0) };
                if child < 0 || status != 0 {
                    fail(&format!("the child of a fork ended with status {status:#x}"));
                }
                with(|run| run.add_child());
            }
        }
    }

    /// All blocks are as they were, and can be freed; new ones can be had; threads can be started.
    fn live_as_a_child(&mut self) {
        // SAFETY: no preconditions.
        unsafe { libc::alarm(60) };
        point(Event::Script("child", 0));
        self.blocks = with(|run| {
            run.model.sent.clear();
            run.model.all().map(|held| held.address).collect()
        });
        let all: Vec<Held> = with(|run| run.model.all().copied().collect());
        all.iter().for_each(check);
        for _ in 0..20 {
            self.operate(60);
        }
        if self.random.below(2) == 0 {
            let thread = spawn(Thread::<A>::new(Random::new(self.random.next()), 20));
            join(thread);
        }
        self.blocks.extend(with(|run| std::mem::take(&mut run.model.sent)));
        while let Some(address) = self.blocks.pop() {
            self.free(address);
        }
    }
}

/// Checks a block that was just allocated, and enters it. `None`: the allocator has no memory, and may say so.
fn enter<A: Spec>(block: *mut u8, layout: Layout) -> Option<Held> {
    if block.is_null() {
        refused();
        return None;
    }
    let (address, size) = (block.expose_provenance(), layout.size());
    if !A::owns(block) || !A::owns(block.wrapping_add(size - 1)) {
        fail(&format!("{size} bytes at {address:#x} are not known to the allocator"));
    }
    STARTED.set(true);
    let owner = me();
    Some(with(|run| {
        // The program's stores to its block come after those of the allocator.
        run.complete_all(owner);
        if let Some(other) = run.model.overlapping(address, size) {
            run.fail(&format!("{size} bytes at {address:#x} were handed out, where {other} is in use"));
        }
        if !address.is_multiple_of(layout.align()) || !run.machine.is_writable(address, size) {
            run.fail(&format!("{layout:?} at {address:#x} is not aligned, or not mapped"));
        }
        run.trace(address as u64);
        run.model.enter(address, layout, owner)
    }))
}

fn check(held: &Held) {
    if let Some((offset, found)) = held.find_wrong(held.address, held.layout.size()) {
        fail(&format!("{held} has {found:#x} at {offset}, which is not what was written"));
    }
}

/// Takes a block out of the model, to give it to the allocator.
fn leave(address: usize) -> Held {
    let held = with(|run| run.model.remove(address));
    check(&held);
    held
}

/// An allocation was null.
fn refused() {
    if !with(|run| run.machine.may_refuse()) {
        fail("an allocation was refused, though there is memory");
    }
}

fn spawn<A: Spec>(thread: Thread<A>) -> libc::pthread_t {
    let mut posix = 0;
    let argument = Box::into_raw(Box::new(thread));
    // SAFETY: `main` takes the box.
    let error = unsafe { libc::pthread_create(&raw mut posix, std::ptr::null(), main::<A>, argument.cast()) };
    assert_eq!(error, 0);
    posix
}

extern "C" fn main<A: Spec>(argument: *mut c_void) -> *mut c_void {
    // SAFETY: `spawn` made the box.
    unsafe { Box::from_raw(argument.cast::<Thread<A>>()) }.run();
    threads::at_end(act_at_end::<A>);
    std::ptr::null_mut()
}

thread_local! {
    /// Whether this thread has got a block, and so a heap.
    static STARTED: Cell<bool> = const { Cell::new(false) };
}

/// In each round of destructors some threads go on. Not those that would start in the last round: nothing tells the allocator
/// that it is the last, so what they keep is lost.
fn act_at_end<A: Spec>(is_last: bool) {
    let [acts, seed] = with(|run| [run.random.next() % 4, run.random.next()]);
    if acts == 0 && (STARTED.get() || !is_last) {
        let mut thread = Thread::<A>::new(Random::new(seed), 2);
        thread.run();
    }
}

fn join(thread: libc::pthread_t) {
    // SAFETY: `spawn` started the thread, and it is joined once.
    unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
}

/// The first thread of a run: starts the others, some after the end of others, and has no blocks of its own.
pub(crate) fn play<A: Spec>() {
    let mut random = with(|run| Random::new(run.random.next()));
    let (at_once, all) = (2 + random.below(3), 2 + random.below(6));
    let operations = 20 << random.below(4);
    let mut threads = std::collections::VecDeque::new();
    for _ in 0..all {
        if threads.len() == at_once {
            threads.pop_front().into_iter().for_each(join);
        }
        threads.push_back(spawn(Thread::<A>::new(Random::new(random.next()), 1 + random.below(operations))));
    }
    if random.below(8) == 0 {
        return; // The process ends while they run.
    }
    threads.into_iter().for_each(join);
    // An heir frees what is left.
    let mut heir = Thread::<A>::new(random, 0);
    heir.blocks = with(|run| std::mem::take(&mut run.model.sent));
    join(spawn(Thread::<A> { operations: 0, ..heir }));
    let purged = || with(|run| run.result.purged.load(Ordering::Relaxed));
    if A::KEEPS {
        schedule::wait(0, Some(1_000_000_000));
    }
    let before = purged();
    // Shared magazines are emptied.
    A::purge();
    if A::KEEPS && !with(|run| run.machine.may_refuse()) && purged() > before + SPARE {
        fail(&format!("{} pages were not purged in time", purged() - before));
    }
    let left = with(|run| run.model.all().count());
    let live = blocks_live::<A>();
    if left == 0 && live > 0 && !A::KEEPS {
        fail(&format!("{live} blocks are lost"));
    }
    schedule::point(Event::Script("done", left));
}
