//! `background = true` in `[purge]`: memory goes back though the program does nothing, by a thread that is there only when it
//! is needed, takes no processor time while nothing waits, and is no hindrance to a fork or to the end of the program.

use crate::blocks::{KIB, MIB, Piece, Random, Subject, subjects};
use crate::forks::{fork, reap, watchdog};
use crate::rerun::isolated;
use crate::resident::resident;
use crate::workers::{blocked_signals, ends, eventually, sleeps, state_and_ticks, tasks, this_task};
use std::alloc::Layout;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// The default spec, which has the key.
mod default {
    hakmem::allocator! {
        pub(super) struct Heap;
    }
}

/// A short delay, other layers, and the other thread that an allocator may have.
mod quick {
    hakmem::allocator! {
        pub(super) struct Heap {
            [purge]
            background = true
            delay_ms = 20

            [[class]]
            sizes = { from = 16, to = 1024, steps_per_doubling = 2 }
            refill = "background"
        }
    }
}

/// With states that no small stack has room for, since a thread's thread-local memory comes out of its stack.
mod wide {
    hakmem::allocator! {
        pub(super) struct Heap {
            [purge]
            background = true
            delay_ms = 20

            [[class]]
            sizes = { from = 16, to = 1024, step = 16 }
            layers = ["fast"]
            fast = { capacity = 700 }
        }
    }
}

subjects!(default::Heap, quick::Heap, wide::Heap);

fn piece<A: Subject>(size: usize) -> Piece<A> {
    Piece::new(Layout::from_size_align(size, 8).expect("a power of two"), size as u8, false)
}

const BURST: usize = 400 * MIB;
const SMALL_BURST: usize = 50 * MIB;

/// Room for the pieces of the larger burst, touched; of the system's allocator.
fn room<A: Subject>() -> Vec<Piece<A>> {
    let count = 3 * BURST / KIB;
    let mut room = Vec::<Piece<A>>::with_capacity(count);
    // SAFETY: the vector's spare room has this many places, and no one reads them.
    unsafe { room.as_mut_ptr().write_bytes(0, count) };
    room
}

/// Small blocks of random sizes, `bytes` in all.
fn fill<A: Subject>(bytes: usize, pieces: &mut Vec<Piece<A>>) {
    let (mut random, mut sum) = (Random::new(7), 0);
    while sum < bytes {
        let size = 1 + random.below(KIB);
        pieces.push(piece(size));
        sum += size;
    }
}

/// Frees in random order, which empties slabs late.
fn clear<A: Subject>(pieces: &mut Vec<Piece<A>>) {
    let mut random = Random::new(8);
    while !pieces.is_empty() {
        pieces.swap_remove(random.below(pieces.len()));
    }
}

/// What is still resident of a burst one second after the last free, if nothing is allocated since. On a machine that
/// has no time for the thread, some seconds after.
fn kept_after_a_second(before: usize) -> usize {
    let mut kept = usize::MAX;
    for pause in [1, 1, 3, 5, 10, 30, 60] {
        thread::sleep(Duration::from_secs(pause));
        kept = resident().saturating_sub(before);
        println!("{} KiB kept", kept / KIB);
        if kept < 10 * MIB {
            break;
        }
    }
    kept
}

/// The larger burst, and what was resident before it.
fn burst() -> (usize, Vec<Piece<default::Heap>>) {
    let mut pieces = room::<default::Heap>();
    let before = resident();
    fill(BURST, &mut pieces);
    assert!(resident() >= before + BURST);
    (before, pieces)
}

/// Fails unless the burst goes back to the system by itself.
fn assert_gone(before: usize) {
    let kept = kept_after_a_second(before);
    assert!(kept < 10 * MIB, "{kept} bytes kept\n{}", default::Heap::stats());
}

#[test]
fn a_burst_is_gone_a_second_later_without_an_allocation() {
    isolated("a_burst_is_gone_a_second_later_without_an_allocation", || {
        let (before, mut pieces) = burst();
        clear(&mut pieces);
        assert_gone(before);
    });
}

/// The thread that freed sleeps, and the one that allocated too. What the first has gathered for slabs that are not its own
/// is of few slabs, as it freed in the order of allocation.
#[test]
fn a_burst_that_another_thread_freed_is_gone() {
    isolated("a_burst_that_another_thread_freed_is_gone", || {
        let (before, mut pieces) = burst();
        let (sender, freed) = mpsc::channel();
        thread::spawn(move || {
            pieces.clear();
            sender.send(()).expect("it is waited for");
            thread::sleep(Duration::from_secs(60));
        });
        freed.recv().expect("the thread frees");
        assert_gone(before);
    });
}

/// Hits of a layer that is no `pages` look at no clock: the thread does.
#[test]
fn a_trickle_of_mid_sizes_lets_memory_go_back() {
    isolated("a_trickle_of_mid_sizes_lets_memory_go_back", || {
        let (before, mut pieces) = burst();
        pieces.clear();
        let trickle = || {
            for _ in 0..100 {
                drop(piece::<default::Heap>(2000));
                thread::sleep(Duration::from_millis(10));
            }
            resident().saturating_sub(before)
        };
        // A second; more on a machine that has no time for the thread.
        let kept = (0..60).map(|_| trickle()).find(|&kept| kept < 10 * MIB);
        assert!(kept.is_some(), "{} MiB are still resident", resident().saturating_sub(before) / MIB);
    });
}

#[test]
fn large_blocks_that_are_kept_go_back() {
    isolated("large_blocks_that_are_kept_go_back", || {
        drop(piece::<default::Heap>(MIB));
        let before = resident();
        drop((0..4).map(|_| piece::<default::Heap>(6 * MIB)).collect::<Vec<_>>());
        let kept = kept_after_a_second(before);
        assert!(kept < MIB, "{kept} bytes kept");
    });
}

/// They are in the caches of threads that wait.
#[test]
fn large_blocks_that_waiting_threads_keep_go_back() {
    isolated("large_blocks_that_waiting_threads_keep_go_back", || {
        drop(piece::<default::Heap>(MIB));
        let before = resident();
        thread::scope(|scope| {
            let (freed, all_freed) = mpsc::channel();
            let waiting: Vec<_> = (0..4)
                .map(|_| {
                    let (end, ends) = mpsc::channel::<()>();
                    let freed = freed.clone();
                    scope.spawn(move || {
                        drop((0..10).map(|_| piece::<default::Heap>(600 * KIB)).collect::<Vec<_>>());
                        freed.send(()).expect("the main thread waits");
                        let _ = ends.recv();
                    });
                    end
                })
                .collect();
            waiting.iter().for_each(|_| all_freed.recv().expect("each thread sends"));
            let kept = kept_after_a_second(before);
            assert!(kept < 2 * MIB, "{kept} bytes kept");
        });
    });
}

#[test]
fn there_is_a_thread_when_memory_waits_and_it_sleeps_when_none_does() {
    isolated("there_is_a_thread_when_memory_waits_and_it_sleeps_when_none_does", || {
        let before = tasks();
        let mut pieces = room::<default::Heap>();
        for _ in 0..2000 {
            pieces.push(piece(64));
        }
        pieces.truncate(1);
        assert_eq!(tasks(), before, "a thread though no slab went to the pool");
        fill(SMALL_BURST, &mut pieces);
        pieces.clear();
        let purger: Vec<String> = tasks().difference(&before).cloned().collect();
        let [purger] = &purger[..] else { panic!("one thread was expected: {purger:?}") };
        // Through with the burst, it is not scheduled any more: neither ticks nor sleeps are counted. (A debugger that stops
        // the process would count as one, hence more than one try.)
        eventually("a second of sleep", || {
            let before = (state_and_ticks(purger), sleeps(purger));
            thread::sleep(Duration::from_secs(1));
            (state_and_ticks(purger), sleeps(purger)) == before
        });
        // The next burst wakes it.
        fill(SMALL_BURST, &mut pieces);
        let full = resident();
        pieces.clear();
        eventually("the second burst goes back", || resident() + SMALL_BURST / 2 < full);
        assert_eq!(tasks().difference(&before).count(), 1);
    });
}

#[test]
fn a_thread_that_ends_leaves_its_memory_to_the_purger() {
    isolated("a_thread_that_ends_leaves_its_memory_to_the_purger", || {
        let before = tasks();
        let freed = thread::spawn(|| drop(piece::<quick::Heap>(64)));
        freed.join().expect("the thread ends well");
        // One fills queues, the other purges.
        eventually("both workers are there", || tasks().difference(&before).count() == 2);
    });
}

#[test]
fn thread_local_memory_may_be_more_than_a_small_stack() {
    isolated("thread_local_memory_may_be_more_than_a_small_stack", || {
        let before = tasks();
        let mut pieces = room::<wide::Heap>();
        fill(SMALL_BURST, &mut pieces);
        pieces.clear();
        assert_eq!(tasks().difference(&before).count(), 1);
    });
}

#[test]
fn errno_and_the_mask_of_signals_stay_what_they_were() {
    isolated("errno_and_the_mask_of_signals_stay_what_they_were", || {
        let before = tasks();
        let mut pieces = room::<default::Heap>();
        fill(SMALL_BURST, &mut pieces);
        let mask = blocked_signals(&this_task());
        // SAFETY: errno is this thread's own.
        unsafe { *libc::__errno_location() = 77 };
        pieces.clear();
        // SAFETY: as above.
        assert_eq!(unsafe { *libc::__errno_location() }, 77);
        assert_eq!(blocked_signals(&this_task()), mask);
        let purger = tasks().difference(&before).next().cloned().expect("a thread");
        let blocked = blocked_signals(&purger);
        // All that can be blocked: not SIGKILL, SIGSTOP, and the two that the C library needs. But those that its own mistakes
        // raise are not, so that the program's handlers are called.
        let own = [libc::SIGSEGV, libc::SIGBUS, libc::SIGABRT, libc::SIGILL, libc::SIGFPE];
        assert!(own.iter().all(|signal| blocked >> (signal - 1) & 1 == 0), "{blocked:x}");
        assert_eq!(blocked.count_ones(), 60 - 5, "{blocked:x}");
    });
}

#[test]
fn a_child_has_a_thread_when_it_needs_one() {
    isolated("a_child_has_a_thread_when_it_needs_one", || {
        watchdog();
        let mut pieces = room::<quick::Heap>();
        fill(SMALL_BURST, &mut pieces);
        pieces.truncate(pieces.len() / 2);
        for _ in 0..10 {
            reap(fork(|| {
                assert_eq!(tasks().len(), 1);
                let full = resident();
                pieces.clear();
                assert!(tasks().len() > 1, "the child's thread");
                eventually("it purges", || resident() + SMALL_BURST / 4 < full);
                reap(fork(|| assert_eq!(tasks().len(), 1)));
            }));
        }
        // The parent's goes on.
        let full = resident();
        pieces.clear();
        eventually("it purges", || resident() + SMALL_BURST / 4 < full);
    });
}

/// Every few milliseconds a purge, and forks in the middle of it.
#[test]
fn a_fork_beside_a_busy_purger() {
    isolated("a_fork_beside_a_busy_purger", || {
        watchdog();
        let until = Instant::now() + Duration::from_secs(3);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut pieces = Vec::new();
                while Instant::now() < until {
                    pieces.extend((0..20_000).map(|number| piece::<quick::Heap>(1 + number % 1000)));
                    pieces.clear();
                }
            });
            while Instant::now() < until {
                reap(fork(|| {
                    drop((0..20_000).map(|number| piece::<quick::Heap>(1 + number % 1000)).collect::<Vec<_>>())
                }));
            }
        });
    });
}

#[test]
fn a_program_ends_while_the_thread_works_or_sleeps() {
    ends("a_program_ends_while_the_thread_works_or_sleeps", 12, || {
        drop((0..100_000).map(|number| piece::<quick::Heap>(1 + number % 1000)).collect::<Vec<_>>());
        // The delay is 20 ms.
        thread::sleep(Duration::from_millis(u64::from(std::process::id() % 6) * 10));
    });
}
