//! What threads keep that sleep is taken from them, while their hits know nothing of it: contents stay, no block is handed out
//! twice, and the memory is gone.

use crate::blocks::{KIB, MIB, Piece, Random, Subject, blocks_live, layout, subjects};
use crate::rerun::isolated;
use crate::resident::resident;
use crate::workers::eventually;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// The default spec: `pages` and `heapv2`, and a thread that purges.
mod default {
    hakmem::allocator! {
        pub(super) struct Heap;
    }
}

/// With a cache beside the heap, counted layers, other layers below, and no such thread.
mod beside {
    hakmem::allocator! {
        pub(super) struct Heap {
            tls = "initial-exec"

            [[class]]
            sizes = { from = 16, to = 512, steps_per_doubling = 2 }
            layers = ["pages"]
            stats = true

            [[class]]
            sizes = { from = 768, to = "4 KiB", steps_per_doubling = 2 }
            layers = ["heapv2", "sll"]
            heapv2 = { capacity = 3 }
            sll = { high_water = 5 }
            header = "region-id"

            [[class]]
            size = "8 KiB"
            layers = ["unified"]
        }
    }
}

subjects!(default::Heap, beside::Heap);

/// A heap that can be asked to take everything.
trait Reaches: Subject {
    fn purge_all() -> usize;
}

impl Reaches for default::Heap {
    fn purge_all() -> usize {
        default::Heap::purge_all()
    }
}

impl Reaches for beside::Heap {
    fn purge_all() -> usize {
        beside::Heap::purge_all()
    }
}

/// Allocates and frees with checked contents, a part of it in another thread, with pauses now and then, until `stop`.
fn work<A: Reaches>(
    number: usize,
    to: &mpsc::Sender<Piece<A>>,
    from: &mpsc::Receiver<Piece<A>>,
    stop: &AtomicBool,
) -> usize {
    let mut random = Random::new(number as u64 + 1);
    let mut pieces: Vec<Piece<A>> = Vec::new();
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) {
        let bound = [64, 512, 5000][random.below(3)];
        let size = 1 + random.below(bound);
        match random.below(8) {
            0..3 => pieces.push(Piece::new(layout(size), random.below(256) as u8, false)),
            3..6 if !pieces.is_empty() => drop(pieces.swap_remove(random.below(pieces.len()))),
            6 if !pieces.is_empty() => drop(to.send(pieces.swap_remove(random.below(pieces.len())))),
            // A pair that only hits.
            _ => drop(Piece::<A>::new(layout(size), 7, false)),
        }
        if random.below(4) == 0 {
            drop(from.try_recv());
        }
        if pieces.len() > 3000 {
            pieces.truncate(100);
        }
        if random.below(2000) == 0 {
            thread::sleep(Duration::from_micros(200));
        }
        done += 1;
    }
    done
}

/// Threads that work while another one takes over what it can, all the time.
fn taken_from_busy_threads<A: Reaches>() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 400;
    let (stop, reached) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::channel::<Piece<A>>()).unzip();
    let done: usize = thread::scope(|scope| {
        let workers: Vec<_> = receivers
            .into_iter()
            .enumerate()
            .map(|(number, from)| {
                let to = senders[(number + 1) % THREADS].clone();
                scope.spawn(move || work::<A>(number, &to, &from, stop))
            })
            .collect();
        let end = Instant::now() + Duration::from_secs(20);
        for _ in 0..ROUNDS {
            if A::purge_all() < THREADS {
                reached.fetch_add(1, Ordering::Relaxed);
            }
            if Instant::now() > end {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        workers.into_iter().map(|worker| worker.join().expect("no piece lost its contents")).sum()
    });
    drop(senders);
    println!("{done} operations, reached in {} rounds", reached.load(Ordering::Relaxed));
    assert!(reached.load(Ordering::Relaxed) > 0, "no thread was ever reached");
    A::purge_all();
    assert_eq!(blocks_live::<A>(), 0, "blocks are lost");
}

#[test]
#[cfg_attr(miri, ignore = "no membarrier")]
fn busy_threads_lose_nothing() {
    isolated("busy_threads_lose_nothing", taken_from_busy_threads::<default::Heap>);
}

#[test]
#[cfg_attr(miri, ignore = "no membarrier")]
fn busy_threads_of_other_layers_lose_nothing() {
    isolated("busy_threads_of_other_layers_lose_nothing", taken_from_busy_threads::<beside::Heap>);
}

/// Threads that keep one block in twenty and sleep; then they free what is left, and allocate again.
#[test]
#[cfg_attr(miri, ignore = "no membarrier")]
fn holes_of_sleeping_threads_go_back() {
    isolated("holes_of_sleeping_threads_go_back", || {
        const THREADS: usize = 8;
        const EACH: usize = 4 * MIB;
        let asleep = &Barrier::new(THREADS + 1);
        let awake = &Barrier::new(THREADS + 1);
        thread::scope(|scope| {
            let before = resident();
            for number in 0..THREADS {
                scope.spawn(move || {
                    let mut random = Random::new(number as u64);
                    let mut pieces = Vec::new();
                    for size in [100, 500, 1000] {
                        pieces.extend(
                            (0..EACH / size).map(|index| Piece::<default::Heap>::new(layout(size), index as u8, false)),
                        );
                    }
                    let mut kept: Vec<_> = pieces.drain(..).filter(|_| random.below(100) == 0).collect();
                    drop(pieces);
                    asleep.wait();
                    awake.wait();
                    kept.truncate(kept.len() / 2);
                    kept.extend((0..1000).map(|index| Piece::new(layout(200), index as u8, false)));
                });
            }
            asleep.wait();
            let all = resident();
            assert!(all > before + THREADS * 2 * EACH);
            eventually("the memory is gone", || resident().saturating_sub(before) < (all - before) / 2);
            println!("{} KiB, then {} KiB", (all - before) / KIB, resident().saturating_sub(before) / KIB);
            awake.wait();
        });
    });
}
