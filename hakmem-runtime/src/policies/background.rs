//! `refill = "background"`: a thread of the allocator's own keeps a queue of batches ready for each class that misses.
//!
//! The miss path takes a batch from the class's queue with one exchange, or goes to its own slabs if there is none: it
//! waits for nobody. The worker has a heap like any thread. It sleeps on a futex while no queue is wanted, and a miss
//! that empties one wakes it.
//!
//! ```text
//!   NONE ──first miss──▶ STARTING ──▶ AWAKE ◀──────wake (a miss)────── ASLEEP
//!    ▲                      │           │   ───nothing is wanted─────────▶ │
//!    └── in a forked child ─┴───────────┴────────────────────────────────┘       exit: STOPPED, for good
//! ```
//!
//! A fork waits until the worker is between two rounds; the child has no worker and starts one when it misses, with the
//! heap of the old one.

use crate::allocator::Allocator;
use crate::block::{Block, Chain};
use crate::class::Class;
use crate::layers::Below;
use crate::os::futex;
use crate::os::lock::Lock;
use crate::os::memory;
use crate::thread::Heap;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

/// Batches ready in each queue.
const BATCHES: usize = 4;

/// The worker's stack. It calls nothing but a refill.
const STACK: usize = 128 << 10;

const NONE: u32 = 0;
const AWAKE: u32 = 1;
const ASLEEP: u32 = 2;
const STOPPED: u32 = 3;
/// The thread is on its way, and has not said yet which one it is.
const STARTING: u32 = 4;

/// The batches that wait for one class.
///
/// # Invariants
/// Each place holds null or the first block of a list that belongs to whoever exchanges it for null.
#[derive(Debug)]
pub struct Queue {
    class: u32,
    ready: [AtomicPtr<Block>; BATCHES],
    wanted: AtomicBool,
}

impl Queue {
    /// The queue of the class at `slot`; nothing is ready.
    pub const fn new(slot: usize) -> Queue {
        Queue {
            class: slot as u32,
            ready: [const { AtomicPtr::new(ptr::null_mut()) }; BATCHES],
            wanted: AtomicBool::new(false),
        }
    }

    fn take(&self) -> Chain {
        for place in &self.ready {
            if !place.load(Ordering::Relaxed).is_null() {
                // Acquire pairs with the Release of `fill`: the links are visible.
                let head = place.swap(ptr::null_mut(), Ordering::Acquire);
                if !head.is_null() {
                    // SAFETY: the list is ours since the exchange.
                    return unsafe { Chain::walk(head) };
                }
            }
        }
        Chain::EMPTY
    }

    /// Fills the empty places. `false`: there is no memory.
    fn fill(&self, heap: &Heap, batch: u32) -> bool {
        for place in &self.ready {
            if place.load(Ordering::Relaxed).is_null() {
                let chain = heap.refill(self.class, |slab| Some(slab.take(batch)).filter(|chain| !chain.is_empty()));
                let Some(chain) = chain else { return false };
                // Only the worker puts anything there, so the place is still empty.
                place.store(chain.head(), Ordering::Release);
            }
        }
        true
    }

    /// Gives back what is ready.
    pub fn release(&self, below: &mut impl Below) {
        loop {
            let chain = self.take();
            if chain.is_empty() {
                return;
            }
            below.absorb(chain);
        }
    }
}

/// The slabs with a queue in front.
#[derive(Debug)]
pub struct Queued<B> {
    queue: &'static Queue,
    worker: &'static Worker,
    slabs: B,
}

impl<B: Below> Queued<B> {
    /// `slabs`, behind the queue of their class.
    pub fn new(queue: &'static Queue, worker: &'static Worker, slabs: B) -> Self {
        Queued { queue, worker, slabs }
    }
}

impl<B: Below> Below for Queued<B> {
    fn class(&self) -> &'static Class {
        self.slabs.class()
    }

    fn demand(&mut self, want: u32) -> Chain {
        let mut chain = self.queue.take();
        self.worker.want(self.queue);
        if chain.is_empty() {
            return self.slabs.demand(want);
        }
        let rest = chain.split_off(want.max(1));
        self.slabs.absorb(rest);
        chain
    }

    fn absorb(&mut self, chain: Chain) {
        self.slabs.absorb(chain);
    }

    fn give(&mut self, blocks: &[*mut Block]) {
        self.slabs.give(blocks);
    }

    fn home(&self) -> Option<(&Heap, u32)> {
        self.slabs.home()
    }

    fn tick(&mut self) {
        self.slabs.tick();
    }
}

/// The thread behind the queues of an allocator.
#[derive(Debug)]
pub struct Worker {
    allocator: &'static Allocator,
    queues: &'static [&'static [Queue]],
    state: AtomicU32,
    /// Held by the worker while it works, and by a fork.
    round: Lock<()>,
    heap: AtomicPtr<Heap>,
    thread: UnsafeCell<MaybeUninit<libc::pthread_t>>,
    /// The worker that was started before this one, of another allocator.
    elder: AtomicPtr<Worker>,
    listed: AtomicBool,
}

// SAFETY: atomics and a lock; `thread` is written by the worker before it makes the state AWAKE from STARTING, and read at
// exit by who finds it AWAKE or ASLEEP.
unsafe impl Sync for Worker {}

/// Every worker that was ever started.
static NEWEST: AtomicPtr<Worker> = AtomicPtr::new(ptr::null_mut());

impl Worker {
    /// A worker for `queues`, not started.
    pub const fn new(allocator: &'static Allocator, queues: &'static [&'static [Queue]]) -> Worker {
        Worker {
            allocator,
            queues,
            state: AtomicU32::new(NONE),
            round: Lock::new(()),
            heap: AtomicPtr::new(ptr::null_mut()),
            thread: UnsafeCell::new(MaybeUninit::uninit()),
            elder: AtomicPtr::new(ptr::null_mut()),
            listed: AtomicBool::new(false),
        }
    }

    /// Asks for `queue` to be filled.
    fn want(&'static self, queue: &Queue) {
        // Both in one total order with `sleep`: either the worker sees the wish before it sleeps, or we see it asleep.
        queue.wanted.store(true, Ordering::SeqCst);
        match self.state.load(Ordering::SeqCst) {
            ASLEEP if self.state.compare_exchange(ASLEEP, AWAKE, Ordering::SeqCst, Ordering::Relaxed).is_ok() => {
                futex::wake(&self.state, 1);
            }
            NONE => self.start(),
            _ => {}
        }
    }

    #[cold]
    fn start(&'static self) {
        if self.state.compare_exchange(NONE, STARTING, Ordering::SeqCst, Ordering::Relaxed).is_err() {
            return;
        }
        self.list();
        // SAFETY: the attributes live on this stack while they are used; the worker is a static. The new thread takes no
        // signals, which are the program's.
        unsafe {
            let (mut attributes, mut thread) = (MaybeUninit::uninit(), MaybeUninit::uninit());
            let (mut all, mut old) = (MaybeUninit::uninit(), MaybeUninit::uninit());
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr());
            let mut started = libc::pthread_attr_init(attributes.as_mut_ptr()) == 0;
            if started {
                libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), STACK);
                let worker = ptr::from_ref(self).cast_mut().cast();
                started = memory::keeping_errno(|| {
                    libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), run, worker) == 0
                });
                libc::pthread_attr_destroy(attributes.as_mut_ptr());
            }
            libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), ptr::null_mut());
            if !started {
                // No thread to be had: every miss goes to the slabs. Not tried again.
                self.state.store(STOPPED, Ordering::SeqCst);
            }
        }
    }

    /// Enters the list that fork and exit go through.
    fn list(&'static self) {
        if self.listed.swap(true, Ordering::Relaxed) {
            return;
        }
        let worker = ptr::from_ref(self).cast_mut();
        let elder = NEWEST.load(Ordering::Relaxed);
        self.elder.store(elder, Ordering::Relaxed);
        let mut found = elder;
        while let Err(newer) = NEWEST.compare_exchange(found, worker, Ordering::AcqRel, Ordering::Acquire) {
            self.elder.store(newer, Ordering::Relaxed);
            found = newer;
        }
        if found.is_null() {
            // SAFETY: functions of the program that owns this crate. Registered after those of `fork`, so that they run
            // before them: the worker stops between two rounds, with no lock of the allocator.
            unsafe {
                libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(in_child));
                libc::atexit(at_exit);
            }
        }
    }

    /// Rounds over the queues, until the end.
    fn work(&'static self) {
        // SAFETY: nobody reads it before the state is AWAKE. An exit in between stops us, and does not wait for us.
        unsafe { (*self.thread.get()).write(libc::pthread_self()) };
        let _ = self.state.compare_exchange(STARTING, AWAKE, Ordering::SeqCst, Ordering::Relaxed);
        while self.state.load(Ordering::SeqCst) != STOPPED {
            let round = self.round.lock();
            let mut heap = self.heap.load(Ordering::Relaxed);
            if heap.is_null() {
                heap = Heap::for_worker(self.allocator);
                self.heap.store(heap, Ordering::Relaxed);
            }
            let mut filled = !heap.is_null();
            // SAFETY: the worker's own heap; heaps are never freed.
            if let Some(heap) = unsafe { heap.as_ref() } {
                for queue in self.queues.iter().copied().flatten() {
                    if queue.wanted.swap(false, Ordering::SeqCst) {
                        filled &= queue.fill(heap, self.allocator.class(queue.class).batch);
                    }
                }
            }
            drop(round);
            self.sleep(filled);
        }
    }

    /// Sleeps if there is nothing to do. Without memory a wish that is left over is no reason to stay awake.
    fn sleep(&self, filled: bool) {
        if self.state.compare_exchange(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::Relaxed).is_err() {
            return;
        }
        let wanted = || self.queues.iter().copied().flatten().any(|queue| queue.wanted.load(Ordering::SeqCst));
        if filled && wanted() {
            // Whoever changes the word first decides; either way we are awake.
            let _ = self.state.compare_exchange(ASLEEP, AWAKE, Ordering::SeqCst, Ordering::Relaxed);
            return;
        }
        while self.state.load(Ordering::SeqCst) == ASLEEP {
            futex::wait(&self.state, ASLEEP);
        }
    }
}

extern "C" fn run(worker: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: `start` passes a static.
    unsafe { &*worker.cast::<Worker>() }.work();
    ptr::null_mut()
}

/// The newest of the workers whose rounds a fork holds. Another allocator's may begin meanwhile. Written and read by who
/// holds the round of the eldest.
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
        next = worker.elder.load(Ordering::Relaxed).cast_const();
        Some(worker)
    })
}

extern "C" fn before_fork() {
    let newest = NEWEST.load(Ordering::Acquire);
    for worker in since(newest) {
        worker.round.acquire();
    }
    HELD.store(newest, Ordering::Relaxed);
}

extern "C" fn after_fork() {
    for worker in since(HELD.load(Ordering::Relaxed)) {
        // SAFETY: `before_fork` took the lock on this thread.
        unsafe { worker.round.release() };
    }
}

/// The worker's thread exists in the parent alone.
extern "C" fn in_child() {
    let held = HELD.load(Ordering::Relaxed).cast_const();
    for worker in workers().take_while(|&worker| !ptr::eq(worker, held)) {
        // It began while the fork was under way, and may have been in the middle of a round: its heap is given up.
        worker.heap.store(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: the holder, if there is one, does not exist here.
        unsafe { worker.round.release() };
    }
    for worker in workers() {
        if worker.state.load(Ordering::Relaxed) != STOPPED {
            worker.state.store(NONE, Ordering::Relaxed);
        }
    }
    after_fork();
}

extern "C" fn at_exit() {
    for worker in workers() {
        let state = worker.state.swap(STOPPED, Ordering::SeqCst);
        if state == AWAKE || state == ASLEEP {
            futex::wake(&worker.state, 1);
            // SAFETY: the thread was started and is joined once, here.
            unsafe { libc::pthread_join((*worker.thread.get()).assume_init_read(), ptr::null_mut()) };
        }
    }
}
