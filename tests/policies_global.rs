//! All policies at once, in the allocator of the whole program: the harness, its threads, and the processes it starts.

#[path = "common/forks.rs"]
mod forks;
#[path = "common/rerun.rs"]
mod rerun;

use forks::{fork, reap};
use rerun::{is_child, isolated};
use std::cell::RefCell;
use std::collections::HashMap;
use std::thread;

hakmem::allocator! {
    pub(crate) struct Heap {
        [defaults]
        layers = ["ultrahot", "hot", "ring"]
        refill = "background"
        free = "deferred"
        header = "region-id"
        stats = true

        [[class]]
        sizes = { from = 16, to = 512, step = 16 }

        [[class]]
        sizes = { from = 640, to = "32 KiB", steps_per_doubling = 4 }
        layers = ["heapv2", "sll"]
    }
}

#[global_allocator]
static GLOBAL: Heap = Heap;

/// Work as programs do it: maps of strings that grow, and are cleared in another order.
fn work(seed: usize) -> usize {
    let mut map: HashMap<String, Vec<String>> = HashMap::new();
    for number in 0..2000_usize {
        let key = number.wrapping_mul(seed + 7919) % 97;
        map.entry(key.to_string()).or_default().push("x".repeat(number % 300));
    }
    map.retain(|key, _| key.len() > 1);
    let boxed: Box<[String]> = map.into_values().flatten().collect();
    boxed.iter().map(String::len).sum()
}

thread_local! {
    static KEPT: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

#[test]
fn threads_come_and_go() {
    let alone = work(3);
    for _ in 0..20 {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                thread::spawn(|| {
                    // Dropped when the thread ends.
                    KEPT.with_borrow_mut(|kept| kept.extend((0..500).map(|number| number.to_string())));
                    work(3)
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().expect("the thread ends well"), alone);
        }
    }
    let hits: u64 = Heap::layer_stats().iter().filter(|row| row.layer == "hot").map(|row| row.hits).sum();
    assert!(hits > 10_000, "{}", Heap::layer_stats());
    assert!(Heap::owns(Box::new(1).as_ref()));
}

#[test]
fn processes_come_and_go() {
    if is_child() {
        work(5);
        return;
    }
    let busy = thread::spawn(|| (0..10).map(work).sum::<usize>());
    for _ in 0..5 {
        isolated("processes_come_and_go", || {});
    }
    busy.join().expect("the thread ends well");
}

#[test]
fn forks_come_and_go() {
    let busy = thread::spawn(|| (0..30).map(work).sum::<usize>());
    for seed in 0..30 {
        reap(fork(|| {
            work(seed);
        }));
    }
    busy.join().expect("the thread ends well");
}
