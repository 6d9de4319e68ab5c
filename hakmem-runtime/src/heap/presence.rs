//! Whether a heap's thread is in a slow path. A keeper, who looks after the heaps of threads that sleep (`keeper.rs`), has
//! access to a heap while its thread is not, and makes it wait at the entrance of the next one.

use super::Heap;
use crate::meta::biased_lock::{BiasedLock, Kernel};
use crate::sys::atomic_ref::AtomicRef;
use crate::sys::{fork, futex};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The thread's hits and slow paths take place as usual.
pub(super) const OPEN: u32 = 0;
/// The keeper has made hits miss, but was refused the fence: it took nothing.
pub(super) const SHUT: u32 = 1;
/// The keeper has taken what the thread does not need.
pub(super) const KEPT: u32 = 2;

/// How long a thread waits for a keeper before it looks again, if it is not woken.
const LOOK_AGAIN_MS: u32 = 1;

/// In each heap.
///
/// # Invariants
/// Only who has the lock reads or writes `state`, and only a keeper `seen` and `seen_at`.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Presence {
    lock: BiasedLock<AtomicU32>,
    /// How often the thread took a slow path.
    entries: AtomicU32,
    /// The [`fork::generation`] of the process whose thread entered last; 0 if the heap has no thread.
    process: AtomicU32,
    /// `OPEN`, `SHUT` or `KEPT`.
    pub(super) state: AtomicU32,
    /// `entries` when a keeper last looked, and since when they are that, in milliseconds.
    seen: AtomicU32,
    seen_at: AtomicU32,
    /// Whether the thread waits for a keeper.
    waiting: AtomicBool,
    /// The presence that was registered before this one.
    next: AtomicRef<Presence>,
}

/// All heaps that threads ever had, newest first.
#[derive(Debug)]
pub(super) struct Presences(AtomicRef<Presence>);

impl Presences {
    pub(super) const fn none() -> Presences {
        Presences(AtomicRef::none())
    }

    pub(super) fn register(&self, presence: &'static Presence) {
        self.0.push(presence, |newest| presence.next.set(newest));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'static Presence> + use<> {
        core::iter::successors(self.0.get(), |presence| presence.next.get())
    }
}

/// The owner's right to use its heap, until it is dropped.
#[must_use = "the heap may be used while this lives"]
#[derive(Debug)]
pub struct Inside<'a>(&'a Presence);

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.lock.leave();
    }
}

impl Heap {
    /// Enters a slow path of the heap's thread, which is the caller's, and is in none. Waits for a keeper, and undoes what one
    /// has done.
    #[inline]
    pub fn enter(&self) -> Inside<'_> {
        let presence = &self.presence;
        if !presence.lock.enter::<Kernel>() {
            presence.wait_for_keeper();
        }
        if presence.state.load(Ordering::Relaxed) != OPEN {
            self.reopen();
        }
        presence.entries.store(presence.entries.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        presence.process.store(fork::generation(), Ordering::Relaxed);
        Inside(presence)
    }

    /// Makes every slab this heap's again.
    #[cold]
    #[inline(never)]
    fn reopen(&self) {
        self.presence.state.store(OPEN, Ordering::Relaxed);
        for (class_index, bin) in (0..).zip(self.bins()) {
            let owner = self.owner_id(class_index);
            bin.slabs().for_each(|slab| slab.reopen(owner));
        }
    }
}

impl Presence {
    pub(super) const fn new() -> Presence {
        Presence {
            lock: BiasedLock::new(AtomicU32::new(0), AtomicU32::new(0)),
            entries: AtomicU32::new(0),
            process: AtomicU32::new(0),
            state: AtomicU32::new(OPEN),
            seen: AtomicU32::new(0),
            seen_at: AtomicU32::new(0),
            waiting: AtomicBool::new(false),
            next: AtomicRef::none(),
        }
    }

    /// For the owner, whom the closed lock has kept out: enters once it is open.
    #[cold]
    #[inline(never)]
    fn wait_for_keeper(&self) {
        loop {
            self.lock.leave();
            self.waiting.store(true, Ordering::SeqCst);
            futex::wait_for(self.lock.closed_word(), 1, LOOK_AGAIN_MS);
            if self.lock.enter::<Kernel>() {
                return;
            }
        }
    }

    /// Notes that the heap has no thread any more. For that thread, in its last slow path.
    pub(super) fn end(&self) {
        self.process.store(0, Ordering::Relaxed);
    }

    /// Whether the heap has a thread of this process.
    pub(super) fn has_thread(&self) -> bool {
        self.process.load(Ordering::Relaxed) == fork::generation()
    }

    /// For how many milliseconds the thread has taken no slow path, as far as the calls of this function show.
    pub(super) fn idle_ms(&self, now: u32) -> u32 {
        let entries = self.entries.load(Ordering::Relaxed);
        if self.seen.swap(entries, Ordering::Relaxed) != entries {
            self.seen_at.store(now, Ordering::Relaxed);
        }
        now.wrapping_sub(self.seen_at.load(Ordering::Relaxed))
    }

    /// Makes the thread wait at its next slow path. A heavy fence must follow.
    pub(super) fn close(&self) {
        self.lock.close();
    }

    /// Whether a keeper has closed it.
    pub(super) fn is_closed(&self) -> bool {
        self.lock.is_closed()
    }

    /// After the fence: the heap, unless its thread is in a slow path.
    pub(super) fn heap_if_left(&self) -> Option<&Heap> {
        if !self.lock.is_left() {
            return None;
        }
        let heap = ptr::from_ref(self).expose_provenance() - core::mem::offset_of!(Heap, presence);
        // SAFETY: the presence of a heap, which is never freed, is registered. The lock is closed, and the thread was not
        // inside after the fence, so that the caller has the heap to itself until it opens the lock.
        Some(unsafe { &*ptr::with_exposed_provenance(heap) })
    }

    /// Lets the thread go on.
    pub(super) fn open(&self) {
        self.lock.open();
        // A thread that is overlooked waits `LOOK_AGAIN_MS`.
        if self.waiting.swap(false, Ordering::SeqCst) {
            futex::wake(self.lock.closed_word(), 1);
        }
    }
}
