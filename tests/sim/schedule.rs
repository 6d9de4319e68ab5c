//! Which thread runs. Threads are real; one of them, the current one, has the turn, and gives it on at points that the seed
//! chooses. All that is shared here is used by the thread with the turn alone.

use crate::atomics::{Store, WITHOUT_MEMBARRIER};
use crate::blocks::Random;
use crate::kernel::kernel;
use crate::machine::Machine;
use crate::model::Model;
use crate::plan::{Plan, Result};
use libc::c_long;
use std::cell::{Cell, UnsafeCell};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// Operations on atomics.
    Load,
    Store,
    Exchange,
    Fence,
    /// A call of the kernel: its number and two arguments, without pointers to what is not the machine's.
    Call(c_long, usize, usize),
    /// A step of the script, with a number that it chooses.
    Script(&'static str, usize),
}

/// What keeps a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    /// Waits on the futex at an address, until a time in nanoseconds.
    Waiting(usize, u64),
    /// Waits for the end of another.
    Joining(usize),
    Ended,
}

#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) state: State,
    /// 1: it has the turn.
    pub(crate) turn: &'static AtomicU32,
    /// Under priorities, the highest goes first.
    priority: u64,
    /// The `pthread_t`, when it is known.
    pub(crate) posix: libc::pthread_t,
    /// Stores that have not reached memory, oldest first.
    stores: VecDeque<Store>,
}

/// How threads take turns.
#[derive(Debug, Clone, Copy)]
enum Order {
    /// The turn goes to any thread at one point in so many.
    Random(usize),
    /// It stays with the thread of the highest priority, which loses that at a few points (Burckhardt et al., “A randomized
    /// scheduler with probabilistic guarantees of finding bugs”): one in so many.
    Priorities(usize),
}

/// A run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) plan: Plan,
    pub(crate) random: Random,
    order: Order,
    /// One store in so many is kept; 0: none.
    keeps: usize,
    /// One load or store in so many lets the oldest of the thread's kept stores through.
    late: usize,
    pub(crate) threads: Vec<Thread>,
    /// The process. In a forked child it is another one, and has one thread.
    process: c_long,
    /// The process in which the run began.
    first: c_long,
    /// Nanoseconds.
    pub(crate) now: u64,
    /// Points since the turn was given.
    stayed: u32,
    /// The last events, for a message.
    recent: VecDeque<(usize, Event)>,
    pub(crate) result: &'static Result,
    /// That of a forked child, which runs while the parent does what it does after a fork.
    child: &'static Result,
    pub(crate) machine: Machine,
    pub(crate) model: Model,
}

/// Points after which a seed is taken to go on for ever.
const MOST_POINTS: u64 = 4_000_000;
/// Points that a thread may keep the turn, if others wait for it: it may be spinning.
const LONGEST_TURN: u32 = 3_000;
const RECENT: usize = 60;
const FOREVER: u64 = u64::MAX;

struct Shared(UnsafeCell<Option<Run>>);

// SAFETY: one thread at a time uses it: the one with the turn. Giving it is a Release, taking it an Acquire.
unsafe impl Sync for Shared {}

static RUN: Shared = Shared(UnsafeCell::new(None));

thread_local! {
    /// The calling thread's number, if it is one of the run's and not in here already.
    pub(crate) static ME: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Whether the calling thread is one of a run's.
pub(crate) fn is_simulated() -> bool {
    ME.get().is_some()
}

pub(crate) fn me() -> usize {
    ME.get().expect("a thread of the run's")
}

/// Calls `body` with the run. What it does is no point, and none of the run's other threads does anything meanwhile.
pub(crate) fn with<T>(body: impl FnOnce(&mut Run) -> T) -> T {
    let me = ME.replace(None);
    // SAFETY: the calling thread has the turn, and is not in here already: then it would have no number.
    let run = unsafe { &mut *RUN.0.get() };
    let result = body(run.as_mut().expect("a run"));
    ME.set(me);
    result
}

/// Begins a run, in a process that has no other threads.
pub(crate) fn set(run: Run) {
    // SAFETY: there are no other threads.
    unsafe { *RUN.0.get() = Some(run) };
}

fn getpid() -> c_long {
    // SAFETY: no preconditions.
    unsafe { kernel(libc::SYS_getpid, [0; 6]) }
}

fn futex(word: &AtomicU32, operation: i32, value: u32) {
    let arguments = [word.as_ptr() as c_long, c_long::from(operation), c_long::from(value), 0, 0, 0];
    // SAFETY: the kernel reads the word.
    unsafe { kernel(libc::SYS_futex, arguments) };
}

pub(crate) fn give(turn: &AtomicU32) {
    turn.store(1, Ordering::Release);
    futex(turn, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1);
}

pub(crate) fn take(turn: &AtomicU32) {
    while turn.swap(0, Ordering::Acquire) == 0 {
        futex(turn, libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, 0);
    }
}

impl Run {
    /// Before a fork.
    pub(crate) fn expect_child(&self) {
        self.child.clear();
    }

    /// After the end of a forked child.
    pub(crate) fn add_child(&self) {
        self.trace(self.child.trace.load(Ordering::Relaxed));
        self.result.add(self.child);
    }

    pub(crate) fn new(plan: Plan, [result, child]: [&'static Result; 2]) -> Run {
        let mut random = Random::new(plan.seed);
        for _ in 0..4 {
            random.next();
        }
        let order = match random.below(3) {
            0 => Order::Priorities([20, 200, 2000][random.below(3)]),
            _ => Order::Random(2 << random.below(6)),
        };
        let keeps = [0, 2, 2, 4][random.below(4)];
        let late = [2, 6, 30][random.below(3)];
        let machine = Machine::new(&mut random);
        Run {
            plan,
            order,
            keeps,
            late,
            threads: Vec::new(),
            process: getpid(),
            first: getpid(),
            now: 1_000_000_000,
            stayed: 0,
            recent: VecDeque::new(),
            result,
            child,
            machine,
            model: Model::default(),
            random,
        }
    }

    pub(crate) fn add_thread(&mut self) -> usize {
        let turn = Box::leak(Box::new(AtomicU32::new(0)));
        let priority = self.random.next() | 1 << 40;
        self.threads.push(Thread { state: State::Ready, turn, priority, posix: 0, stores: VecDeque::new() });
        self.threads.len() - 1
    }

    /// Puts a number into the trace.
    pub(crate) fn trace(&self, number: u64) {
        let old = self.result.trace.load(Ordering::Relaxed);
        self.result.trace.store((old ^ number).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(23), Ordering::Relaxed);
    }

    /// Whether this process is a child of the one in which the run began.
    pub(crate) fn is_forked_run(&self) -> bool {
        self.first != getpid()
    }

    fn is_forked(&self) -> bool {
        self.process != getpid()
    }

    fn note(&mut self, me: usize, event: Event) {
        if self.is_forked() {
            // A child, at its first point: only the thread that forked is here. What others had stored is.
            self.process = getpid();
            self.result = self.child;
            for number in 0..self.threads.len() {
                self.complete_all(number);
                if number != me {
                    self.threads[number].state = State::Ended;
                }
            }
        }
        let (kind, a, b) = match event {
            Event::Load => (1, 0, 0),
            Event::Store => (2, 0, 0),
            Event::Exchange => (3, 0, 0),
            Event::Fence => (4, 0, 0),
            Event::Call(number, a, b) => (16 + number as u64, a, b),
            Event::Script(name, a) => (8, a, name.len()),
        };
        self.trace(kind << 32 | me as u64);
        self.trace((a as u64).rotate_left(32) ^ b as u64);
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((me, event));
        self.now += 250;
        let points = self.result.points.fetch_add(1, Ordering::Relaxed) + 1;
        if points > MOST_POINTS {
            self.fail("it goes on for ever");
        }
        match event {
            Event::Load | Event::Store => {
                if !self.threads[me].stores.is_empty() && self.random.below(self.late) == 0 {
                    self.complete_one(me);
                }
            }
            Event::Exchange | Event::Fence | Event::Call(..) | Event::Script(..) => self.complete_all(me),
        }
    }

    fn complete_one(&mut self, number: usize) {
        if let Some(store) = self.threads[number].stores.pop_front() {
            // SAFETY: the atomic was there when its owner stored to it, and the owner has not called the kernel since.
            unsafe { store.complete() };
        }
    }

    pub(crate) fn complete_all(&mut self, number: usize) {
        while !self.threads[number].stores.is_empty() {
            self.complete_one(number);
        }
    }

    /// A fence in every thread.
    pub(crate) fn fence_everywhere(&mut self) {
        if Some(self.plan.control) != WITHOUT_MEMBARRIER {
            (0..self.threads.len()).for_each(|number| self.complete_all(number));
        }
    }

    /// Keeps a store back, or not.
    pub(crate) fn keep(&mut self, me: usize, store: Store) -> bool {
        // In order: after one that is kept all others are.
        let keeps = self.keeps > 0 && (!self.threads[me].stores.is_empty() || self.random.below(self.keeps) == 0);
        if keeps {
            self.result.kept.fetch_add(1, Ordering::Relaxed);
            self.threads[me].stores.push_back(store);
        }
        keeps
    }

    pub(crate) fn kept(&self, me: usize, address: usize) -> Option<u64> {
        let stores = self.threads[me].stores.iter().rev();
        stores.clone().find(|store| store.address == address).map(|store| store.value)
    }

    /// The thread that has the turn after this point.
    pub(crate) fn choose(&mut self, me: usize, often: bool) -> usize {
        let now = self.now;
        for thread in &mut self.threads {
            if let State::Waiting(_, until) = thread.state
                && until <= now
            {
                thread.state = State::Ready;
            }
        }
        let is_ready = self.threads[me].state == State::Ready;
        match self.order {
            Order::Random(every) => {
                let every = if often { every } else { every * 4 };
                if is_ready && self.random.below(every) > 0 {
                    return me;
                }
            }
            Order::Priorities(every) => {
                self.stayed += 1;
                let tired = self.stayed > LONGEST_TURN;
                if tired || self.random.below(every) == 0 {
                    self.stayed = 0;
                    // Lower than all, and the lower the later.
                    self.threads[me].priority = (1 << 30) - self.result.points.load(Ordering::Relaxed);
                }
            }
        }
        loop {
            let ready: Vec<usize> = self.ready().collect();
            if !ready.is_empty() {
                return match self.order {
                    Order::Random(_) => ready[self.random.below(ready.len())],
                    Order::Priorities(_) => {
                        let highest = ready.iter().copied().max_by_key(|&number| self.threads[number].priority);
                        highest.unwrap_or(me)
                    }
                };
            }
            // Time passes until the first one wakes.
            let until = self.threads.iter().filter_map(|thread| match thread.state {
                State::Waiting(_, until) if until != FOREVER => Some(until),
                _ => None,
            });
            let Some(until) = until.min() else { self.fail("deadlock") };
            self.now = self.now.max(until);
            for thread in &mut self.threads {
                if let State::Waiting(_, until) = thread.state
                    && until <= self.now
                {
                    thread.state = State::Ready;
                }
            }
        }
    }

    fn ready(&self) -> impl Iterator<Item = usize> {
        let ready = |number: &usize| self.threads[*number].state == State::Ready;
        (0..self.threads.len()).filter(ready)
    }

    /// Wakes up to `count` of those that wait on a futex.
    pub(crate) fn wake(&mut self, word: usize, count: usize) -> usize {
        for woken in 0..count {
            let waits = |number: &usize| matches!(self.threads[*number].state, State::Waiting(on, _) if on == word);
            let waiting: Vec<usize> = (0..self.threads.len()).filter(waits).collect();
            if waiting.is_empty() {
                return woken;
            }
            let number = waiting[self.random.below(waiting.len())];
            self.threads[number].state = State::Ready;
        }
        count
    }

    /// Ends the process with a message, the seed, and what happened last.
    pub(crate) fn fail(&self, message: &str) -> ! {
        use std::fmt::Write;
        let mut text = String::new();
        let _ = writeln!(text, "sim: seed {}: {message}", self.plan.seed);
        let _ = writeln!(text, "  {:?}, at {} µs, in thread {:?}", self.order, self.now / 1000, self.recent.back());
        for (number, thread) in self.threads.iter().enumerate() {
            let _ = writeln!(text, "  thread {number}: {:?}, {} stores kept", thread.state, thread.stores.len());
        }
        if std::env::var_os("HAKMEM_SIM_SEED").is_some() {
            let _ = writeln!(text, "  {:?}", self.machine);
            let _ = writeln!(text, "{}", std::backtrace::Backtrace::force_capture());
            let _ = writeln!(text, "  last: {:?}", self.recent);
        } else {
            let _ = writeln!(text, "  again: HAKMEM_SIM_SEED={} tests/sim.sh", self.plan.seed);
        }
        eprint!("{text}");
        // SAFETY: no preconditions.
        unsafe { libc::_exit(FAILED) }
    }
}

/// The exit code of a run that failed.
pub(crate) const FAILED: i32 = 101;

/// Ends the run's process with a message.
pub(crate) fn fail(message: &str) -> ! {
    with(|run| run.fail(message))
}

/// A point: the calling thread may lose the turn for a while.
pub(crate) fn point(event: Event) {
    let Some(me) = ME.get() else { return };
    let often = !matches!(event, Event::Load | Event::Store);
    let next = with(|run| {
        run.note(me, event);
        run.choose(me, often)
    });
    pass(me, next);
}

pub(crate) fn pass(me: usize, next: usize) {
    if next == me {
        return;
    }
    let [mine, other] = with(|run| {
        run.stayed = 0;
        run.result.switches.fetch_add(1, Ordering::Relaxed);
        run.trace(next as u64);
        [me, next].map(|number| run.threads[number].turn)
    });
    give(other);
    take(mine);
}

/// The calling thread waits on a futex, for so many nanoseconds at most.
pub(crate) fn wait(word: usize, time: Option<u64>) {
    let me = me();
    let next = with(|run| {
        let until = time.map_or(FOREVER, |time| run.now + time);
        run.threads[me].state = State::Waiting(word, until);
        run.choose(me, true)
    });
    pass(me, next);
}
