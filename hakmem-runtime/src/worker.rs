//! A thread of the allocator's own: how it starts, works and sleeps, and what a fork and the end of the program do with
//! it. Its work is a [`Task`]; a program has one worker for each policy that needs one.
//!
//! ```text
//!   NONE ──first wake──▶ STARTING ──▶ AWAKE ◀──────wake────── ASLEEP
//!    ▲                      │           │  ──nothing to do──▶    │
//!    └── in a forked child ─┴───────────┴────────────────────────┘       at exit: STOPPED, for good
//! ```
//!
//! Asleep it waits on a futex and takes no processor time. A fork waits until the worker is between two rounds; the
//! child has no worker, and starts one at the next wake.
//!
//! It is a thread of the C library and not a bare `clone`, although the library may allocate to start it. `setuid` must
//! reach every thread, and would miss one that the library does not know. And the functions called here write `errno`,
//! which needs thread-local memory. So [`Worker::wake`] is for the end of a slow path, when no layer is in the middle
//! of a change and an allocation is safe.

use crate::meta::word::Word;
use crate::sys::fork::{self, EarlyHook};
use crate::sys::lock::Lock;
use crate::sys::{futex, program, thread};
use core::fmt::Debug;
use core::iter;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

/// The bytes of the worker's stack. It runs nothing but its task.
const STACK: usize = 128 << 10;

/// After so many milliseconds asleep a worker looks once more: by then it sees whatever a thread wrote before that
/// thread could see it asleep.
const SETTLED: u32 = 1;

const NONE: u64 = 0;
/// In a round, or waiting for a known time.
const AWAKE: u64 = 1;
const ASLEEP: u64 = 2;
const STOPPED: u64 = 3;
/// The thread was created, and has not stored its number yet.
const STARTING: u64 = 4;

/// What a worker does.
pub trait Task: Sync + Debug {
    /// Milliseconds between a wake and the first round.
    fn debounce_ms(&self) -> u32;

    /// Does what there is to do. `Some(n)`: the next round is in `n` milliseconds. `None`: the next round is after a
    /// wake.
    fn round(&self) -> Option<u32>;

    /// In a forked child, if the fork may have interrupted a round: makes the task ready for a new worker.
    fn reset_after_fork(&self);
}

/// Wakes a worker that sleeps. `true`: it was this call that changed the state, and the caller is to wake the thread.
#[doc(hidden)]
pub fn wake(state: &impl Word) -> bool {
    // The caller has stored its request before this. The request and the state are in one total order with those in
    // `fall_asleep`: either the worker sees the request before it sleeps, or this call sees it asleep.
    let mut found = state.load(Ordering::SeqCst);
    while found == ASLEEP {
        match state.compare_exchange_weak(ASLEEP, AWAKE, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => return true,
            Err(other) => found = other,
        }
    }
    false
}

/// Called by a worker's thread, which is awake, to put the worker to sleep. `look` looks for requests stored before
/// everybody could see it asleep; `true` is a reason to stay awake. Returns whether the worker sleeps now, or was woken
/// already.
#[doc(hidden)]
pub fn fall_asleep(state: &impl Word, look: impl FnOnce() -> bool) -> bool {
    while let Err(found) = state.compare_exchange_weak(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::SeqCst) {
        if found != AWAKE {
            return false;
        }
    }
    if !look() {
        return true;
    }
    // Either this exchange or another thread's makes the worker awake (or stopped).
    while state.compare_exchange_weak(ASLEEP, AWAKE, Ordering::SeqCst, Ordering::SeqCst) == Err(ASLEEP) {}
    false
}

/// A thread and its task.
#[derive(Debug)]
pub struct Worker {
    task: &'static dyn Task,
    state: AtomicU32,
    /// Held by the worker's thread during a round, and by a fork.
    round: Lock<()>,
    /// The thread's number, if the state is AWAKE or ASLEEP.
    thread: AtomicUsize,
    /// The worker that was started before this one.
    next: AtomicPtr<Worker>,
    listed: AtomicBool,
    /// What a fork does first. It is a field, and not a static beside its functions, for the sake of programs without a
    /// worker: of a static the compiler finds out that it is the only early hook there can be, and links its functions
    /// into every program that forks.
    rounds: EarlyHook,
}

/// Every worker that was ever started, newest first.
static NEWEST: AtomicPtr<Worker> = AtomicPtr::new(ptr::null_mut());

impl Worker {
    /// A worker for `task`, not started.
    pub const fn new(task: &'static dyn Task) -> Worker {
        Worker {
            task,
            state: AtomicU32::new(NONE as u32),
            round: Lock::new(()),
            thread: AtomicUsize::new(0),
            next: AtomicPtr::new(ptr::null_mut()),
            listed: AtomicBool::new(false),
            rounds: EarlyHook { hold, release_in_parent: release, release_in_child },
        }
    }

    /// Whether the worker would have to be started.
    #[inline]
    pub(crate) fn is_absent(&self) -> bool {
        self.state.load(Ordering::Relaxed) == NONE as u32
    }

    /// There may be something to do. For the end of a slow path: to start the thread, the C library may allocate.
    #[inline]
    pub fn wake(&'static self) {
        if wake(&self.state) {
            futex::wake(&self.state, 1);
        } else if self.is_absent() {
            self.start();
        }
    }

    #[cold]
    #[inline(never)]
    fn start(&'static self) {
        if self.state.compare_exchange(NONE as u32, STARTING as u32, Ordering::SeqCst, Ordering::Relaxed).is_err() {
            return;
        }
        self.list();
        if !thread::spawn(run, ptr::from_ref(self).cast_mut().cast(), STACK) {
            // The system has no more threads. This is not tried again.
            self.state.store(STOPPED as u32, Ordering::SeqCst);
        }
    }

    /// Enters the list that a fork and the end of the program go through, before the worker's thread exists.
    fn list(&'static self) {
        if self.listed.swap(true, Ordering::Relaxed) {
            return;
        }
        fork::set_early_hook(&self.rounds);
        let worker = ptr::from_ref(self).cast_mut();
        let mut newest = NEWEST.load(Ordering::Relaxed);
        loop {
            self.next.store(newest, Ordering::Relaxed);
            // Release publishes the link, Acquire sees the links of the workers before.
            match NEWEST.compare_exchange(newest, worker, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(found) => newest = found,
            }
        }
        if newest.is_null() {
            program::at_exit(at_exit);
        }
    }

    /// The thread, from its beginning to its end.
    fn work(&'static self) {
        // Before AWAKE, which says that it is there. An exit before that stops the worker, and does not wait for it.
        self.thread.store(thread::current(), Ordering::Relaxed);
        let started = self.state.compare_exchange(STARTING as u32, AWAKE as u32, Ordering::SeqCst, Ordering::Relaxed);
        if started.is_err() {
            return;
        }
        while self.is(AWAKE) {
            self.pause(self.task.debounce_ms());
            while self.is(AWAKE)
                && let Some(more) = self.round()
            {
                self.pause(more);
            }
            let look = || {
                futex::wait_for(&self.state, ASLEEP as u32, SETTLED);
                self.round().is_some()
            };
            if fall_asleep(&self.state, look) {
                while self.is(ASLEEP) {
                    futex::wait(&self.state, ASLEEP as u32);
                }
            }
        }
    }

    fn is(&self, state: u64) -> bool {
        Word::load(&self.state, Ordering::SeqCst) == state
    }

    fn round(&self) -> Option<u32> {
        let _round = self.round.lock();
        self.task.round()
    }

    /// Waits, and ends early only if the worker is stopped.
    fn pause(&self, milliseconds: u32) {
        if milliseconds > 0 {
            futex::wait_for(&self.state, AWAKE as u32, milliseconds);
        }
    }
}

/// The worker at an address that came from a `&'static Worker`.
fn worker_at(worker: *mut Worker) -> Option<&'static Worker> {
    // SAFETY: the callers pass null or what `list` and `start` make of a `&'static Worker`, which is valid for ever. A
    // worker consists of atomics and a lock, so it may be shared.
    unsafe { worker.as_ref() }
}

extern "C" fn run(worker: *mut libc::c_void) -> *mut libc::c_void {
    if let Some(worker) = worker_at(worker.cast()) {
        worker.work();
    }
    ptr::null_mut()
}

/// The newest of the workers whose rounds a fork holds; more may be started in the meantime. Read and written by the
/// thread that holds the oldest worker's round.
static HELD: AtomicPtr<Worker> = AtomicPtr::new(ptr::null_mut());

/// All workers, newest first.
fn workers() -> impl Iterator<Item = &'static Worker> {
    from(NEWEST.load(Ordering::Acquire))
}

/// `worker` and those that were started before it.
fn from(worker: *mut Worker) -> impl Iterator<Item = &'static Worker> {
    iter::successors(worker_at(worker), |worker| worker_at(worker.next.load(Ordering::Relaxed)))
}

/// The first that a fork does: it holds the rounds, so that each worker is between two of them, without a lock of the
/// allocator.
fn hold() {
    let newest = NEWEST.load(Ordering::Acquire);
    for worker in from(newest) {
        worker.round.hold_for_fork();
    }
    HELD.store(newest, Ordering::Relaxed);
}

fn release() {
    for worker in from(HELD.load(Ordering::Relaxed)) {
        worker.round.release_after_fork();
    }
}

/// The workers' threads exist in the parent only.
fn release_in_child() {
    let held = HELD.load(Ordering::Relaxed).cast_const();
    for worker in workers().take_while(|&worker| !ptr::eq(worker, held)) {
        // It was started during the fork, and may have been in the middle of a round.
        worker.task.reset_after_fork();
        worker.round.forget_holder();
    }
    for worker in workers() {
        if !worker.is(STOPPED) {
            worker.state.store(NONE as u32, Ordering::Relaxed);
        }
    }
    release();
}

extern "C" fn at_exit() {
    for worker in workers() {
        let state = u64::from(worker.state.swap(STOPPED as u32, Ordering::SeqCst));
        if state == AWAKE || state == ASLEEP {
            futex::wake(&worker.state, 1);
            // SAFETY: the state says that `spawn` started the thread and that it stored its number (SeqCst orders
            // that). Only the one call that replaces that state by STOPPED comes here, so the thread is joined once.
            unsafe { thread::join(worker.thread.load(Ordering::Relaxed)) };
        }
    }
}
