//! Forks around the first use of an allocator, which is when its fork handlers would be registered too late.

use crate::blocks::{layout, pieces, subjects};
use crate::forks::{fork, reap, watchdog};
use crate::rerun::{is_child, isolated};
use std::alloc::GlobalAlloc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

hakmem::allocator! {
    struct Heap;
}

subjects!(Heap);

#[test]
fn a_fork_handler_may_wait_for_a_thread_that_allocates() {
    extern "C" fn wait_for_a_thread() {
        thread::spawn(|| drop(pieces::<Heap>(64, 5000))).join().expect("the thread ends well");
    }
    isolated("a_fork_handler_may_wait_for_a_thread_that_allocates", || {
        watchdog();
        // SAFETY: the handler is a function of this program. It is registered before anybody has used `Heap`.
        assert_eq!(unsafe { libc::pthread_atfork(Some(wait_for_a_thread), Some(wait_for_a_thread), None) }, 0);
        drop(pieces::<Heap>(48, 100));
        reap(fork(|| drop(pieces::<Heap>(64, 5000))));
    });
}

/// Threads use the allocator for the first time, a class each, while another forks.
#[test]
fn a_fork_beside_the_first_use() {
    let processes = if is_child() { 1 } else { 300 };
    for _ in 0..processes {
        isolated("a_fork_beside_the_first_use", || {
            watchdog();
            let together = &Barrier::new(4);
            thread::scope(|scope| {
                for number in 1..4 {
                    scope.spawn(move || {
                        together.wait();
                        drop(pieces::<Heap>(number * 16, 2000));
                    });
                }
                together.wait();
                for _ in 0..5 {
                    reap(fork(|| {
                        // SAFETY: the layout's size is not 0. The block is lost with the process.
                        assert!(!unsafe { Heap.alloc(layout(64)) }.is_null());
                        drop(pieces::<Heap>(48, 500));
                    }));
                }
            });
        });
    }
}

/// A purge takes locks. A fork must know of them, or the child may find one held.
#[test]
fn a_fork_beside_a_purge_before_the_first_use() {
    isolated("a_fork_beside_a_purge_before_the_first_use", || {
        watchdog();
        let over = &AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    Heap::purge();
                }
            });
            for _ in 0..300 {
                reap(fork(Heap::purge));
            }
            over.store(true, Ordering::Relaxed);
        });
    });
}
