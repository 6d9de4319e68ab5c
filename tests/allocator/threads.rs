//! Blocks that wander between threads: each is checked where it is freed, and in the end nothing is left of any.

use crate::blocks::{KIB, Piece, Random, Subject, blocks_live, layout, pieces, slabs, subjects};
use crate::rerun::isolated;
use crate::resident::resident;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Mutex, MutexGuard};
use std::thread::{self, ScopedJoinHandle};

mod default {
    hakmem::allocator! {
        pub(super) struct Heap;
    }
}

mod small {
    hakmem::allocator! {
        pub(super) struct Heap {
            [superslab]
            size = "256 KiB"
            slab = "16 KiB"

            [purge]
            delay_ms = 0

            [defaults]
            unified = { capacity = 4 }
            sll = { high_water = 256 }
            batch = 4

            [[class]]
            sizes = { from = 32, to = "32 KiB", steps_per_doubling = 4 }
        }
    }
}

/// An allocator that only one test uses, while others run.
mod counted {
    hakmem::allocator! {
        pub(super) struct Heap {
            [[class]]
            size = 48
        }
    }
}

/// The same for another test.
mod handed_on {
    hakmem::allocator! {
        pub(super) struct Heap {
            [[class]]
            size = 64
            layers = ["pages"]
        }
    }
}

/// One with lists, and one whose thread caches are beside the heaps.
mod late {
    hakmem::allocator! {
        pub(super) struct Lists {
            [defaults]
            layers = ["unified", "sll"]

            [[class]]
            sizes = { from = 64, to = "8 KiB", steps_per_doubling = 4 }
        }
    }

    pub(super) mod beside {
        hakmem::allocator! {
            pub(in super::super) struct Heap {
                tls = "initial-exec"

                [[class]]
                sizes = { from = 64, to = 1024, steps_per_doubling = 4 }
                layers = ["pages"]

                [[class]]
                sizes = { from = 1280, to = "8 KiB", steps_per_doubling = 4 }
                layers = ["heapv2"]
            }
        }
    }
}

subjects!(default::Heap, small::Heap, counted::Heap, handed_on::Heap, late::Lists, late::beside::Heap);

const LARGEST: usize = 300 * KIB;

/// The tests of one allocator take turns, so that the books at the end are exact.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn piece<A: Subject>(random: &mut Random) -> Piece<A> {
    let (layout, seed) = (random.layout(LARGEST), random.below(255) as u8 + 1);
    Piece::new(layout, seed, random.below(8) == 0)
}

/// All threads are gone. What they had kept went to the pool, what this thread keeps goes there by `purge`: so the
/// number of blocks that may be live is none, and with them go all slabs.
fn nothing_is_left<A: Subject>() {
    A::purge();
    assert_eq!((blocks_live::<A>(), slabs::<A>()), (0, 0), "left behind:\n{}", A::stats());
}

/// Waits until threads are gone. The end of a scope alone waits for their closures, not for what a thread does at its exit,
/// which is where its heap gives everything away.
fn join(threads: Vec<ScopedJoinHandle<'_, ()>>) {
    for thread in threads {
        thread.join().expect("the thread ends well");
    }
}

/// Two threads allocate, two free: every free is a remote one.
fn producers_and_consumers<A: Subject>() {
    let _turn = turn();
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for pair in 0..2 {
            let (sender, receiver) = sync_channel::<Vec<Piece<A>>>(8);
            threads.push(scope.spawn(move || {
                let mut random = Random::new(pair);
                for _ in 0..200 {
                    let batch = (0..random.below(200)).map(|_| piece(&mut random)).collect();
                    sender.send(batch).expect("the consumer waits for the last");
                }
            }));
            threads.push(scope.spawn(move || receiver.into_iter().for_each(drop)));
        }
        join(threads);
    });
    nothing_is_left::<A>();
}

/// Four threads in a ring: each sends on most of what comes and adds its own, so that a batch has blocks of all.
fn ring<A: Subject>() {
    let _turn = turn();
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..4).map(|_| channel::<Vec<Piece<A>>>()).unzip();
    let mut next: Vec<Sender<Vec<Piece<A>>>> = senders;
    next.rotate_left(1);
    thread::scope(|scope| {
        let ends = next.into_iter().zip(receivers).enumerate();
        join(ends.map(|(number, (next, previous))| scope.spawn(move || link(number as u64, next, previous))).collect());
    });
    nothing_is_left::<A>();
}

fn link<A: Subject>(number: u64, next: Sender<Vec<Piece<A>>>, previous: Receiver<Vec<Piece<A>>>) {
    let mut random = Random::new(number + 10);
    let mut batch: Vec<Piece<A>> = Vec::new();
    for _ in 0..150 {
        batch.extend((0..100).map(|_| piece(&mut random)));
        for _ in 0..batch.len() / 3 {
            let which = random.below(batch.len());
            drop(batch.swap_remove(which));
        }
        for _ in 0..10 {
            let (which, size) = (random.below(batch.len()), 1 + random.below(2 * KIB));
            batch[which].resize(size);
        }
        // The last round's send finds nobody if the neighbour is through; the blocks are freed here then.
        let _ = next.send(batch);
        batch = previous.recv().unwrap_or_default();
    }
}

/// As in Larson's benchmark: a thread replaces random blocks of a set, then dies and leaves the set to its successor.
fn successors<A: Subject>() {
    let _turn = turn();
    let lineage = |lineage: u64| {
        let mut random = Random::new(lineage + 20);
        let mut set: Vec<Piece<A>> = (0..500).map(|_| piece(&mut random)).collect();
        for generation in 0..40 {
            let successor = move || {
                let mut random = Random::new(lineage * 1000 + generation);
                for _ in 0..500 {
                    let which = random.below(set.len());
                    set[which] = piece(&mut random);
                }
                set
            };
            set = thread::spawn(successor).join().expect("the successor ends well");
        }
    };
    thread::scope(|scope| join((0..3).map(|number| scope.spawn(move || lineage(number))).collect()));
    nothing_is_left::<A>();
}

/// Many threads meet in one class, so that slabs change owners as often as possible.
fn one_class<A: Subject>() {
    let _turn = turn();
    let shared: Mutex<Vec<Piece<A>>> = Mutex::new(Vec::new());
    let layout = std::alloc::Layout::from_size_align(48, 8).expect("a power of two");
    let member = |number: u8| {
        let mut random = Random::new(u64::from(number) + 30);
        for _ in 0..150 {
            let mut mine: Vec<Piece<A>> = (0..400).map(|_| Piece::new(layout, number + 1, false)).collect();
            let mut shared = shared.lock().expect("no thread panics");
            shared.append(&mut mine);
            let keep = random.below(shared.len());
            let others = shared.split_off(keep);
            drop(shared);
            drop(others);
        }
    };
    let member = &member;
    thread::scope(|scope| join((0..6).map(|number| scope.spawn(move || member(number))).collect()));
    drop(shared);
    nothing_is_left::<A>();
}

/// Blocks that other threads freed are not live, even before the slab's owner has looked.
#[test]
fn statistics_know_what_other_threads_freed() {
    let layout = std::alloc::Layout::from_size_align(48, 8).expect("a power of two");
    // Not quite a slab, so that it is this thread's, and another's frees are listed.
    let mut kept: Vec<Piece<counted::Heap>> = (0..1300).map(|_| Piece::new(layout, 1, false)).collect();
    let others = kept.split_off(300);
    thread::spawn(move || drop(others)).join().expect("the thread ends well");
    let live = blocks_live::<counted::Heap>();
    // A batch may lie in this thread's front.
    assert!((300..=340).contains(&live), "{live} blocks live\n{}", counted::Heap::stats());
    drop(kept);
    nothing_is_left::<counted::Heap>();
}

/// What a thread under `pages` frees of another's slabs goes home. Were it allocated again here, each of these blocks would
/// come by a cold path with every allocation and every free, for as long as the other thread lives.
#[test]
fn blocks_of_another_thread_are_not_allocated_here() {
    type Heap = handed_on::Heap;
    let (sender, receiver) = channel();
    let (done, wait) = channel::<()>();
    thread::scope(|scope| {
        let owner = scope.spawn(move || {
            sender.send(pieces::<Heap>(64, 40)).expect("the other thread waits for them");
            // Alive until the other is done, and so the owner of its slabs.
            let _ = wait.recv();
        });
        let other = scope.spawn(move || {
            let foreign: Vec<Piece<Heap>> = receiver.recv().expect("the other thread sends them");
            let addresses: HashSet<usize> = foreign.iter().map(Piece::address).collect();
            // Some slabs, the first of which is used up meanwhile.
            let before = pieces::<Heap>(64, 500);
            drop(foreign);
            let after = pieces::<Heap>(64, 3000);
            let again = before.iter().chain(&after).filter(|piece| addresses.contains(&piece.address())).count();
            assert_eq!(again, 0, "blocks of the other thread's slab");
            drop(done);
        });
        join(vec![owner, other]);
    });
    assert_eq!(blocks_live::<Heap>(), 0, "left behind:\n{}", Heap::stats());
}

#[test]
fn producers_and_consumers_default() {
    producers_and_consumers::<default::Heap>();
}

#[test]
fn producers_and_consumers_small() {
    producers_and_consumers::<small::Heap>();
}

#[test]
fn ring_default() {
    ring::<default::Heap>();
}

#[test]
fn ring_small() {
    ring::<small::Heap>();
}

#[test]
fn successors_default() {
    successors::<default::Heap>();
}

#[test]
fn successors_small() {
    successors::<small::Heap>();
}

#[test]
fn one_class_default() {
    one_class::<default::Heap>();
}

#[test]
fn one_class_small() {
    one_class::<small::Heap>();
}

static LATE_KEY: AtomicU32 = AtomicU32::new(0);

/// Allocates in the last round of destructors: what is armed then is not called any more. The value counts the rounds.
extern "C" fn in_the_last_round<A: Subject>(round: *mut libc::c_void) {
    // SAFETY: sysconf has no preconditions; the key was created.
    unsafe {
        if round.addr() < libc::sysconf(libc::_SC_THREAD_DESTRUCTOR_ITERATIONS) as usize {
            let next = std::ptr::without_provenance(round.addr() + 1);
            libc::pthread_setspecific(LATE_KEY.load(Ordering::Relaxed), next);
            return;
        }
    }
    let mut kept: Vec<Piece<A>> =
        [24, 100, 700, 3000, 8000, 100_000].map(|size| Piece::new(layout(size), 7, false)).into();
    kept[3].resize(7000);
    kept[0].resize(300);
    kept.extend((0..20).map(|_| Piece::new(layout(2500), 8, true)));
}

fn late_threads<A: Subject>() {
    drop(pieces::<A>(100, 1)); // The allocator's key before this one, so that its destructor comes before, too.
    let mut key = 0;
    // SAFETY: a place for the key, and a destructor that takes any value.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(in_the_last_round::<A>)) }, 0);
    LATE_KEY.store(key, Ordering::Relaxed);
    let thread = || {
        let begin = move || {
            drop(pieces::<A>(100, 3));
            // SAFETY: the key was created.
            unsafe { libc::pthread_setspecific(key, std::ptr::without_provenance(1)) };
        };
        thread::spawn(begin).join().expect("the thread ends well");
    };
    (0..20).for_each(|_| thread());
    A::purge();
    let before = resident();
    (0..1000).for_each(|_| thread());
    nothing_is_left::<A>();
    let more = resident().saturating_sub(before);
    assert!(more < 512 * KIB, "{more} bytes for 1,000 threads");
}

#[test]
fn a_thread_that_allocates_in_the_last_round_of_destructors_leaves_nothing() {
    isolated("a_thread_that_allocates_in_the_last_round_of_destructors_leaves_nothing", || {
        late_threads::<default::Heap>();
        late_threads::<late::Lists>();
        late_threads::<late::beside::Heap>();
    });
}
