//! A thread of the allocator's own: how it starts, works, sleeps, and is no hindrance to a fork or to the end of the
//! program. What it does is a [`Task`]; a program has one for each policy that asks.
//!
//! ```text
//!   NONE ──first wake──▶ STARTING ──▶ AWAKE ◀────────wake──────── ASLEEP
//!    ▲                      │           │  ──nothing to be done──▶  │
//!    └── in a forked child ─┴───────────┴───────────────────────────┘       exit: STOPPED, for good
//! ```
//!
//! Asleep it waits on a futex and takes no processor time. A fork waits until the worker is between two rounds; the child
//! has no worker, and starts one when somebody wakes it.
//!
//! It is a thread of the C library and not a bare `clone`, though the library may allocate for it: `setuid` must reach
//! every thread, and one that the library does not know of would keep the old rights; and what is called in here writes
//! `errno`, for which a thread needs thread-local memory of its own. So `wake` is for the end of a slow path, when no
//! layer is in the middle of a change and an allocation is one like any other.

use crate::meta::word::Word;
use crate::sys::fork::{self, EarlyHook};
use crate::sys::futex;
use crate::sys::lock::Lock;
use crate::sys::mmap;
use core::cell::UnsafeCell;
use core::fmt::Debug;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

/// The worker's stack. It calls nothing but its task.
const STACK: usize = 128 << 10;

/// Milliseconds after which a thread has seen that the worker sleeps, and the worker what that thread wrote before.
const SETTLED: u32 = 1;

const NONE: u64 = 0;
/// At work, or pausing until a time that it knows.
const AWAKE: u64 = 1;
const ASLEEP: u64 = 2;
const STOPPED: u64 = 3;
/// The thread is on its way, and has not said yet which one it is.
const STARTING: u64 = 4;

/// What a worker does.
pub trait Task: Sync + Debug {
    /// Milliseconds between a wake and the first round.
    fn debounce_ms(&self) -> u32;

    /// Does what can be done. `Some`: there is more to do in so many milliseconds. `None`: not before somebody wakes
    /// the worker.
    fn round(&self) -> Option<u32>;

    /// In a forked child: a round may have ended in the middle.
    fn reset_after_fork(&self);
}

/// Wakes a worker that sleeps. `true`: the caller did, and has its thread to call.
#[doc(hidden)]
pub fn wake(state: &impl Word) -> bool {
    // The wish was written before. It and the word are in one total order with `fall_asleep`: either the worker sees the
    // wish before it sleeps, or we see it asleep.
    let mut found = state.load(Ordering::SeqCst);
    while found == ASLEEP {
        match state.compare_exchange_weak(ASLEEP, AWAKE, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => return true,
            Err(other) => found = other,
        }
    }
    false
}

/// Puts a worker that is awake to sleep, for its thread. `look` is for what was wished before everybody could see it
/// asleep; `true` is a reason to stay awake. Returns whether the worker sleeps now, or has been woken already.
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
    // Whoever changes the word first decides; either way we are awake.
    while state.compare_exchange_weak(ASLEEP, AWAKE, Ordering::SeqCst, Ordering::SeqCst) == Err(ASLEEP) {}
    false
}

/// A thread and its task.
#[derive(Debug)]
pub struct Worker {
    task: &'static dyn Task,
    state: AtomicU32,
    /// Held by the worker while it works, and by a fork.
    round: Lock<()>,
    thread: UnsafeCell<MaybeUninit<libc::pthread_t>>,
    /// The worker that was started before this one.
    next: AtomicPtr<Worker>,
    listed: AtomicBool,
    /// What a fork does first. Here, and not in a static beside the functions: told of that one, the compiler finds the only
    /// thing that `fork.rs` can ever be told of, and puts these functions in programs without a worker.
    rounds: EarlyHook,
}

// SAFETY: atomics and a lock; `thread` is written by the worker before it makes the state AWAKE from STARTING, and read at
// exit by who finds it AWAKE or ASLEEP.
unsafe impl Sync for Worker {}

/// Every worker that was ever started.
static NEWEST: AtomicPtr<Worker> = AtomicPtr::new(ptr::null_mut());

impl Worker {
    /// A worker for `task`, not started.
    pub const fn new(task: &'static dyn Task) -> Worker {
        Worker {
            task,
            state: AtomicU32::new(NONE as u32),
            round: Lock::new(()),
            thread: UnsafeCell::new(MaybeUninit::uninit()),
            next: AtomicPtr::new(ptr::null_mut()),
            listed: AtomicBool::new(false),
            rounds: EarlyHook { before: before_fork, in_parent: after_fork, in_child },
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
        // SAFETY: the attributes live on this stack while they are used; the worker is a static. The new thread takes no
        // signals, which are the program's.
        let started = mmap::keeping_errno(|| unsafe {
            let (mut attributes, mut thread) = (MaybeUninit::uninit(), MaybeUninit::uninit());
            let (mut all, mut old) = (MaybeUninit::uninit(), MaybeUninit::uninit());
            let worker = ptr::from_ref(self).cast_mut().cast();
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr());
            let mut started = false;
            if libc::pthread_attr_init(attributes.as_mut_ptr()) == 0 {
                libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), STACK);
                started = libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), run, worker) == 0;
                libc::pthread_attr_destroy(attributes.as_mut_ptr());
            }
            // The program's thread-local memory comes out of the stack, and may be more than that.
            started = started || libc::pthread_create(thread.as_mut_ptr(), ptr::null(), run, worker) == 0;
            libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), ptr::null_mut());
            started
        });
        if !started {
            // No thread to be had. Not tried again.
            self.state.store(STOPPED as u32, Ordering::SeqCst);
        }
    }

    /// Enters the list that fork and exit go through.
    fn list(&'static self) {
        if self.listed.swap(true, Ordering::Relaxed) {
            return;
        }
        // Before the worker is there.
        fork::hold_ahead(&self.rounds);
        let worker = ptr::from_ref(self).cast_mut();
        let next = NEWEST.load(Ordering::Relaxed);
        self.next.store(next, Ordering::Relaxed);
        let mut found = next;
        while let Err(newer) = NEWEST.compare_exchange(found, worker, Ordering::AcqRel, Ordering::Acquire) {
            self.next.store(newer, Ordering::Relaxed);
            found = newer;
        }
        if found.is_null() {
            // SAFETY: a function of the program that owns this crate.
            unsafe { libc::atexit(at_exit) };
        }
    }

    /// The thread, from its beginning to its end.
    fn work(&'static self) {
        // SAFETY: nobody reads it before the state is AWAKE. An exit in between stops us, and does not wait for us.
        unsafe { (*self.thread.get()).write(libc::pthread_self()) };
        let begun = self.state.compare_exchange(STARTING as u32, AWAKE as u32, Ordering::SeqCst, Ordering::Relaxed);
        if begun.is_err() {
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

    /// Lets time pass, without being woken but by the end.
    fn pause(&self, milliseconds: u32) {
        if milliseconds > 0 {
            futex::wait_for(&self.state, AWAKE as u32, milliseconds);
        }
    }
}

extern "C" fn run(worker: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: `start` passes a static.
    unsafe { &*worker.cast::<Worker>() }.work();
    ptr::null_mut()
}

/// The newest of the workers whose rounds a fork holds. Another may begin meanwhile. Written and read by who holds the
/// round of the eldest.
static HELD: AtomicPtr<Worker> = AtomicPtr::new(ptr::null_mut());

/// All workers, the newest first.
fn workers() -> impl Iterator<Item = &'static Worker> {
    since(NEWEST.load(Ordering::Acquire))
}

/// `worker` and those before it.
fn since(worker: *const Worker) -> impl Iterator<Item = &'static Worker> {
    let mut next = worker;
    core::iter::from_fn(move || {
        // SAFETY: null or a static.
        let worker = unsafe { next.as_ref() }?;
        next = worker.next.load(Ordering::Relaxed).cast_const();
        Some(worker)
    })
}

/// A fork holds the rounds first: a worker stops between two of them, with no lock of the allocator.
fn before_fork() {
    let newest = NEWEST.load(Ordering::Acquire);
    for worker in since(newest) {
        worker.round.hold_for_fork();
    }
    HELD.store(newest, Ordering::Relaxed);
}

fn after_fork() {
    for worker in since(HELD.load(Ordering::Relaxed)) {
        worker.round.release_after_fork();
    }
}

/// The worker's thread exists in the parent alone.
fn in_child() {
    let held = HELD.load(Ordering::Relaxed).cast_const();
    for worker in workers().take_while(|&worker| !ptr::eq(worker, held)) {
        // It began while the fork was under way, and may have been in the middle of a round.
        worker.task.reset_after_fork();
        worker.round.forget_holder();
    }
    for worker in workers() {
        if !worker.is(STOPPED) {
            worker.state.store(NONE as u32, Ordering::Relaxed);
        }
    }
    after_fork();
}

extern "C" fn at_exit() {
    for worker in workers() {
        let state = u64::from(worker.state.swap(STOPPED as u32, Ordering::SeqCst));
        if state == AWAKE || state == ASLEEP {
            futex::wake(&worker.state, 1);
            // SAFETY: the thread was started and is joined once, here.
            unsafe { libc::pthread_join((*worker.thread.get()).assume_init_read(), ptr::null_mut()) };
        }
    }
}
