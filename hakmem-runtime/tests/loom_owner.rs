//! Model of the owner id: a thread that reads its own heap's id in a slab owns the slab, although the word is read and written
//! without order, and although heaps are recycled: the id that another thread's heap had is now this thread's. The remote word
//! and the stack are the allocator's own, on loom's atomics; the owner's word is written as `Slab` and `Pool` write it. The
//! broken variants must fail.

mod common;
#[path = "common/relaxed.rs"]
mod relaxed;

use common::LoomWord;
use hakmem_runtime::protocol::{Abandon, RemoteWord, TaggedStack, Word};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use relaxed::Relaxed;

const NOBODY: u64 = 1;
/// The ids of two heaps. The first is recycled, and also its number on the stack of idle heaps.
const RECYCLED: u64 = 8;
const OTHER: u64 = 16;

/// What is done wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// A heap is idle before it has abandoned its slabs.
    IdleFirst,
    /// An abandoned slab keeps the id.
    KeepsId,
    /// The id is cleared after the slab is abandoned.
    ClearsLate,
}

/// A slab, which its owner writes to, and the idle heaps. (In the runtime a lock guards these; a stack orders no more.)
struct World<W> {
    owner: AtomicU64,
    remote: RemoteWord<LoomWord>,
    touched: UnsafeCell<u32>,
    idle: TaggedStack<W>,
    link: W,
    fault: Fault,
}

impl<W: Word> World<W> {
    /// The recycled heap owns the slab.
    fn new(word: fn() -> W, fault: Fault) -> World<W> {
        let world = World {
            owner: AtomicU64::new(RECYCLED),
            remote: RemoteWord::new(LoomWord(AtomicU64::new(0))),
            touched: UnsafeCell::new(0),
            idle: TaggedStack::new(word()),
            link: word(),
            fault,
        };
        world.remote.own();
        world
    }

    /// Uses the slab as its owner does.
    fn touch(&self) {
        // SAFETY: the caller believes that it owns the slab, so that nobody else is here. If the protocol is wrong about
        // that, loom reports the race and fails the test.
        self.touched.with_mut(|times| unsafe { *times += 1 });
    }

    /// Abandons the slab, as its owner.
    fn abandon(&self) {
        self.touch();
        let clear = || self.owner.store(NOBODY, Ordering::Relaxed);
        if matches!(self.fault, Fault::None | Fault::IdleFirst) {
            clear();
        }
        assert!(matches!(self.remote.abandon(false), Abandon::Done | Abandon::NeedsStack), "nobody frees blocks here");
        if self.fault == Fault::ClearsLate {
            clear();
        }
    }

    /// The thread of the recycled heap ends.
    fn end(&self) {
        if self.fault == Fault::IdleFirst {
            self.idle.push(RECYCLED, &self.link);
            self.abandon();
        } else {
            self.abandon();
            self.idle.push(RECYCLED, &self.link);
        }
    }

    /// Frees a block of the slab, as a thread with the heap `id`: into the slab if that is its own, else it may reclaim it.
    fn free(&self, id: u64) {
        if self.owner.load(Ordering::Relaxed) == id {
            self.touch();
        } else if self.remote.reclaim() {
            self.owner.store(id, Ordering::Relaxed);
            self.touch();
            assert_eq!(self.owner.load(Ordering::Relaxed), id, "an owner does not know its own slab");
            self.abandon();
        }
    }
}

/// A thread ends, another starts with its heap and frees a block of a slab that the heap owned, and a third one does so
/// with another heap.
fn recycle<W: Word + 'static>(word: fn() -> W, fault: Fault) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(move || {
        let world = Arc::new(World::new(word, fault));
        let starting = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                if let Some(id) = world.idle.pop(|_| &world.link) {
                    world.free(id);
                }
            })
        };
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.free(OTHER))
        };
        world.end();
        starting.join().unwrap();
        other.join().unwrap();
    });
}

fn ordered() -> LoomWord {
    LoomWord(AtomicU64::new(0))
}

#[test]
fn who_reads_its_own_id_owns_the_slab() {
    recycle(ordered, Fault::None);
}

#[test]
#[should_panic(expected = "Causality violation: Concurrent write accesses")]
fn a_heap_that_is_idle_too_early_is_caught() {
    recycle(ordered, Fault::IdleFirst);
}

#[test]
#[should_panic(expected = "Causality violation: Concurrent write accesses")]
fn an_id_that_stays_is_caught() {
    recycle(ordered, Fault::KeepsId);
}

#[test]
#[should_panic(expected = "an owner does not know its own slab")]
fn an_id_that_is_cleared_late_is_caught() {
    recycle(ordered, Fault::ClearsLate);
}

/// A thread that gets the heap without what its last thread did reads the id that it had left.
#[test]
#[should_panic(expected = "Causality violation: Concurrent write accesses")]
fn a_heap_that_is_handed_on_without_order_is_caught() {
    recycle(|| Relaxed(LoomWord(AtomicU64::new(0))), Fault::None);
}
