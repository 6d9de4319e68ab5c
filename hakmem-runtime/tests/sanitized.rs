//! A stack between two threads under ThreadSanitizer, on processors as they are: what `tests/tsan.sh` runs to see that the
//! sanitizer watches the runtime's own code. With the shipped orders it must be silent; with none it must report a race.

#[path = "common/relaxed.rs"]
mod relaxed;

use hakmem_runtime::protocol::{TaggedStack, Word};
use relaxed::Relaxed;
use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;

/// A node's owner writes to its cell, without an atomic.
struct Nodes<W> {
    stack: TaggedStack<W>,
    links: [W; 3],
    owned: [UnsafeCell<u64>; 3],
}

// SAFETY: a cell is used by the owner of its node only. Where the orders are taken away, two uses of a cell are still
// apart in time, but nothing says so to the compiler or the sanitizer; that is the fault to be reported.
unsafe impl<W: Sync> Sync for Nodes<W> {}

/// Two threads take nodes from each other; each counts in the nodes that it gets.
fn exchange<W: Word + Default + Send + Sync + 'static>() {
    const TIMES: u64 = 200;
    let nodes: Arc<Nodes<W>> =
        Arc::new(Nodes { stack: TaggedStack::new(W::default()), links: Default::default(), owned: Default::default() });
    nodes.stack.push(1, &nodes.links[1]);
    nodes.stack.push(2, &nodes.links[2]);
    let count = |nodes: &Nodes<W>| {
        let mut counted = 0;
        while counted < TIMES {
            if let Some(node) = nodes.stack.pop(|node| &nodes.links[node as usize]) {
                // SAFETY: who pops a node owns it.
                unsafe { *nodes.owned[node as usize].get() += 1 };
                nodes.stack.push(node, &nodes.links[node as usize]);
                counted += 1;
            }
            thread::yield_now();
        }
    };
    let other = {
        let nodes = Arc::clone(&nodes);
        thread::spawn(move || count(&nodes))
    };
    count(&nodes);
    other.join().expect("the other thread counts to its end");
    // SAFETY: the other thread is gone.
    let sum = unsafe { *nodes.owned[1].get() + *nodes.owned[2].get() };
    assert_eq!(sum, 2 * TIMES);
}

#[test]
fn owners_of_nodes_are_in_order() {
    exchange::<AtomicU64>();
}

#[test]
#[ignore = "a data race on purpose, for tests/tsan.sh"]
fn without_orders() {
    exchange::<Relaxed<AtomicU64>>();
}
