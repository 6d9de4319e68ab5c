//! Background threads: how one starts, works and sleeps, and what happens at a fork and at exit. Its work is a
//! [`Task`]; a program has one worker for each policy that needs one.
//!
//! ```text
//!   NONE ──first wake──▶ STARTING ──▶ AWAKE ◀──────wake────── ASLEEP
//!    ▲                      │           │  ──nothing to do──▶    │
//!    └── in a forked child ─┴───────────┴────────────────────────┘       at exit: STOPPED, for good
//! ```
//!
//! A worker may also begin in WAITING, from where only [`Worker::start_waiting`] leads to STARTING: under C's `malloc` a slow
//! path may not start a thread, since the C library may have called it with locks that it needs for that.
//!
//! Asleep, it waits on a futex and uses no CPU. A fork waits until the worker is between two rounds; the child has no
//! worker, and starts one at the next wake.
//!
//! It is a POSIX thread and not a bare `clone`: `setuid` must reach every thread, and would miss one that the C library
//! does not know; and the functions called here write `errno`, which is thread-local. But the C library may allocate to
//! start a thread, so [`Worker::wake`] must be called at the end of a slow path, when no layer is in the middle of a
//! change.

use crate::meta::word::Word;
use crate::sys::atomic_ref::AtomicRef;
use crate::sys::fork::{self, Early, EarlyHook};
use crate::sys::lock::Lock;
use crate::sys::{futex, program, thread};
use core::fmt::Debug;
use core::iter;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// The bytes of the worker's stack. It runs nothing but its task.
const STACK: usize = 128 << 10;

/// A worker that has just gone to sleep looks for work once more after so many milliseconds. A thread that still saw it
/// awake did not wake it, but by then that thread's writes are visible.
const RECHECK_MS: u32 = 1;

const NONE: u64 = 0;
/// In a round, or waiting for a known time before one.
const AWAKE: u64 = 1;
const ASLEEP: u64 = 2;
const STOPPED: u64 = 3;
/// The thread is being created, and has not stored its `pthread_t` yet.
const STARTING: u64 = 4;
/// Not started, and not to be started by a wake.
const WAITING: u64 = 5;

/// What a worker does.
pub trait Task: Sync + Debug {
    /// Milliseconds between a wake and the first round.
    fn debounce_ms(&self) -> u32;

    /// Does the pending work. `Some(n)`: the next round is in `n` milliseconds. `None`: it is after the next wake.
    fn round(&self) -> Option<u32>;

    /// In a forked child, if the fork may have interrupted a round: makes the task ready for a new worker.
    fn reset_after_fork(&self);
}

/// Marks a sleeping worker awake. `true`: this call did, and the caller must wake the thread.
#[doc(hidden)]
pub fn wake(state: &impl Word) -> bool {
    // The caller has stored its request before this. SeqCst puts the accesses to the request and the state, here and in
    // `fall_asleep`, in one total order: either the worker sees the request, or this call sees the worker asleep.
    let mut found = state.load(Ordering::SeqCst);
    while found == ASLEEP {
        match state.compare_exchange_weak(ASLEEP, AWAKE, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => return true,
            Err(other) => found = other,
        }
    }
    false
}

/// Called by a worker's thread to mark itself asleep. `look` then looks for requests stored by threads that still saw
/// it awake; if it returns `true`, the worker stays awake. `false`: it is not asleep, or has been woken already.
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
    /// The state of a worker that has no thread: NONE or WAITING.
    unstarted: u32,
    state: AtomicU32,
    /// Held during a round, and by a fork.
    round: Lock<()>,
    /// The thread's `pthread_t`, if the state is AWAKE or ASLEEP.
    thread: AtomicUsize,
    /// The worker that was started before this one.
    next: AtomicRef<Worker>,
    listed: AtomicBool,
    /// What a fork does first. This is a field and not a static for the sake of programs without a worker: the compiler
    /// would see that a static is the only early hook that can exist, and link its functions into every program.
    fork_hook: EarlyHook,
}

/// Every worker that was ever started, newest first.
static NEWEST: AtomicRef<Worker> = AtomicRef::none();

impl Worker {
    /// A worker for `task`, not started.
    pub const fn new(task: &'static dyn Task) -> Worker {
        Worker::in_state(task, NONE as u32)
    }

    /// A worker for `task` that only [`start_waiting`](Worker::start_waiting) starts.
    pub const fn waiting(task: &'static dyn Task) -> Worker {
        Worker::in_state(task, WAITING as u32)
    }

    const fn in_state(task: &'static dyn Task, unstarted: u32) -> Worker {
        Worker {
            task,
            unstarted,
            state: AtomicU32::new(unstarted),
            round: Lock::new(()),
            thread: AtomicUsize::new(0),
            next: AtomicRef::none(),
            listed: AtomicBool::new(false),
            fork_hook: EarlyHook { hold, release_in_parent: release, release_in_child },
        }
    }

    /// Whether the worker has not been started, and a wake would start it.
    #[inline]
    pub(crate) fn can_start(&self) -> bool {
        self.state.load(Ordering::Relaxed) == NONE as u32
    }

    /// Wakes the worker, or starts it, because there may be work. For the end of a slow path: starting a thread may
    /// allocate.
    #[inline]
    pub fn wake(&'static self) {
        if wake(&self.state) {
            futex::wake(&self.state, 1);
        } else if self.can_start() {
            self.start();
        }
    }

    /// Starts the worker if it waits for that. Not for a slow path.
    pub fn start_waiting(&'static self) {
        if self.is(WAITING) {
            self.start();
        }
    }

    #[cold]
    #[inline(never)]
    fn start(&'static self) {
        if self.state.compare_exchange(self.unstarted, STARTING as u32, Ordering::SeqCst, Ordering::Relaxed).is_err() {
            return;
        }
        self.list();
        if !thread::spawn(run, self, STACK) {
            // The system has no more threads. This is not tried again.
            self.state.store(STOPPED as u32, Ordering::SeqCst);
        }
    }

    /// Adds the worker to the list of workers, for forks and for the exit, before its thread exists.
    fn list(&'static self) {
        if self.listed.swap(true, Ordering::Relaxed) {
            return;
        }
        fork::set_early_hook(Early::Workers, &self.fork_hook);
        if NEWEST.push(self, |newest| self.next.set(newest)).is_none() {
            program::at_exit(at_exit);
        }
    }

    /// The thread's main function.
    fn work(&'static self) {
        // Before AWAKE, which says that `thread` is set. An exit before that stops the worker without joining it.
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
                futex::wait_for(&self.state, ASLEEP as u32, RECHECK_MS);
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

    /// Waits between rounds. Wakes do not end this early, but a stop does.
    fn pause(&self, milliseconds: u32) {
        if milliseconds > 0 {
            futex::wait_for(&self.state, AWAKE as u32, milliseconds);
        }
    }
}

extern "C" fn run(worker: &'static Worker) -> *mut libc::c_void {
    worker.work();
    ptr::null_mut()
}

/// The newest of the workers whose rounds a fork holds; more may be started during the fork. Accessed only by the
/// thread that holds the oldest worker's round.
static HELD: AtomicRef<Worker> = AtomicRef::none();

/// All workers, newest first.
fn workers() -> impl Iterator<Item = &'static Worker> {
    starting_at(NEWEST.get())
}

/// `worker` and those started before it, newest first.
fn starting_at(worker: Option<&'static Worker>) -> impl Iterator<Item = &'static Worker> {
    iter::successors(worker, |worker| worker.next.get())
}

/// Before a fork, first of all: holds the rounds, so that each worker is between two of them and holds no other lock.
fn hold() {
    let newest = NEWEST.get();
    for worker in starting_at(newest) {
        worker.round.hold_for_fork();
    }
    HELD.set(newest);
}

fn release() {
    for worker in starting_at(HELD.get()) {
        worker.round.release_after_fork();
    }
}

/// In the child, which has none of the workers' threads.
fn release_in_child() {
    let held = HELD.get().map(ptr::from_ref);
    for worker in workers().take_while(|&worker| Some(ptr::from_ref(worker)) != held) {
        // It was started during the fork, and may have been in the middle of a round.
        worker.task.reset_after_fork();
        worker.round.forget_holder();
    }
    for worker in workers() {
        if !worker.is(STOPPED) {
            worker.state.store(worker.unstarted, Ordering::Relaxed);
        }
    }
    release();
}

extern "C" fn at_exit() {
    for worker in workers() {
        let state = u64::from(worker.state.swap(STOPPED as u32, Ordering::SeqCst));
        if state == AWAKE || state == ASLEEP {
            futex::wake(&worker.state, 1);
            // SAFETY: the state says that `spawn` started the thread and that it stored its `pthread_t` before (SeqCst
            // orders that). Only the one swap that replaces this state by STOPPED leads here, so it is joined once.
            unsafe { thread::join(worker.thread.load(Ordering::Relaxed)) };
        }
    }
}
