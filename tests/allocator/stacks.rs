//! Every stack of one to three layers behaves like the reference model, alone and under threads.
//!
//! Each stack is a class of one of four allocators, whose specs the `codegen` tests make from the catalogue of layers.
//! Limits are so small that every cold path is met all the time, and the policies change from class to class.

use crate::address_space::limit_address_space;
use crate::blocks::{Piece, Random, Subject, blocks_live, slabs, subjects};
use crate::rerun::isolated;
use crate::workers::LONGEST;
use hakmem::Class;
use std::alloc::Layout;
use std::collections::BTreeMap;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Barrier, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

mod one {
    hakmem::allocator! {
        pub(super) struct Heap = "tests/stacks/1.toml";
    }
}

mod two {
    hakmem::allocator! {
        pub(super) struct Heap = "tests/stacks/2.toml";
    }
}

mod three {
    hakmem::allocator! {
        pub(super) struct Heap = "tests/stacks/3.toml";
    }
}

mod four {
    hakmem::allocator! {
        pub(super) struct Heap = "tests/stacks/4.toml";
    }
}

subjects!(one::Heap, two::Heap, three::Heap, four::Heap);

/// A class with the requests that it serves.
#[derive(Clone, Copy)]
struct Served {
    class: &'static Class,
    least: usize,
}

impl Served {
    /// A layout of this class.
    fn layout(self, random: &mut Random) -> Layout {
        let size = match random.below(4) {
            0 => self.class.usable as usize,
            _ => self.least + random.below(self.class.usable as usize - self.least + 1),
        };
        let align = 1 << random.below(self.class.align.trailing_zeros() as usize + 1);
        Layout::from_size_align(size, align).expect("a power of two")
    }

    fn piece<A: Subject>(self, random: &mut Random) -> Piece<A> {
        let piece = Piece::new(self.layout(random), random.below(255) as u8 + 1, random.below(4) == 0);
        let Class { align, layers, .. } = self.class;
        assert_eq!(piece.address() % *align as usize, 0, "a block of {layers:?} is not aligned to {align}");
        piece
    }
}

/// The classes in ascending order.
fn served(classes: &'static [Class]) -> Vec<Served> {
    let mut ascending: Vec<&'static Class> = classes.iter().collect();
    ascending.sort_by_key(|class| class.size);
    let mut least = 1;
    let served = ascending.into_iter().map(|class| {
        let served = Served { class, least };
        assert!(least <= class.usable as usize, "no request reaches the class of {}", class.size);
        least = class.usable as usize + 1;
        served
    });
    served.collect()
}

/// The tests of one allocator take turns, so that the books at the end are exact.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The blocks that are allocated, by address: none may reach into another.
struct Model<A: Subject> {
    class: Served,
    set: Vec<Piece<A>>,
    ends: BTreeMap<usize, usize>,
}

impl<A: Subject> Model<A> {
    fn add(&mut self, random: &mut Random) {
        let piece = self.class.piece(random);
        self.enter(&piece);
        self.set.push(piece);
    }

    fn enter(&mut self, piece: &Piece<A>) {
        let (start, end) = (piece.address(), piece.address() + piece.size());
        let before = self.ends.range(..end).next_back();
        assert!(before.is_none_or(|(_, &end)| end <= start), "two blocks overlap: {:?}", self.class.class.layers);
        assert!(A::owns(piece.pointer()));
        self.ends.insert(start, end);
    }

    fn remove(&mut self, random: &mut Random) {
        // The oldest, the newest, or any.
        let which = match random.below(4) {
            0 => 0,
            1 => self.set.len() - 1,
            _ => random.below(self.set.len()),
        };
        let piece = self.set.swap_remove(which);
        self.ends.remove(&piece.address());
    }

    fn resize(&mut self, random: &mut Random) {
        let which = random.below(self.set.len());
        let mut piece = self.set.swap_remove(which);
        self.ends.remove(&piece.address());
        // To another class and back, or within this one.
        if random.below(2) == 0 {
            piece.resize(1 + random.below(2 * self.class.class.size as usize));
        }
        piece.resize(self.class.layout(random).size());
        self.enter(&piece);
        self.set.push(piece);
    }
}

/// One thread, one class after the other: growth, random traffic, shrinkage, and swings of a few blocks.
fn alone<A: Subject>(classes: &'static [Class]) {
    let _turn = turn();
    for (number, class) in served(classes).into_iter().enumerate() {
        let mut random = Random::new(number as u64 + 1);
        let mut model = Model::<A> { class, set: Vec::new(), ends: BTreeMap::new() };
        for (steps, target) in [(70, 70), (150, 40), (70, 0), (150, 3), (300, 300), (200, 150), (300, 0)] {
            for _ in 0..steps {
                // Towards the target, but not straight on.
                let grow = if model.set.len() < target { random.below(8) > 0 } else { random.below(8) == 0 };
                if grow || model.set.is_empty() {
                    model.add(&mut random);
                } else if random.below(8) == 0 {
                    model.resize(&mut random);
                } else {
                    model.remove(&mut random);
                }
            }
        }
        while !model.set.is_empty() {
            model.remove(&mut random);
        }
        no_block_is_left::<A>(&format!("{:?}", class.class.layers));
    }
}

/// Nothing is allocated, and layers keep nothing after a purge. A worker may be about to fill its queues once more, which
/// the next purge empties.
fn no_block_is_left<A: Subject>(what: &str) {
    let start = Instant::now();
    loop {
        A::purge();
        if blocks_live::<A>() == 0 {
            return;
        }
        assert!(start.elapsed() < LONGEST, "left behind by {what}:\n{}", A::stats());
        thread::sleep(Duration::from_millis(1));
    }
}

const THREADS: usize = 4;
const STEPS: usize = 2500;

/// Threads that allocate in bursts from any class, and free what they have or what others sent them.
fn round<A: Subject>(classes: &'static [Class], number: u64) {
    let classes = &served(classes);
    let mailboxes: &[Mutex<Vec<Piece<A>>>; THREADS] = &Default::default();
    let worker = |own: usize| {
        let mut random = Random::new(number * 100 + own as u64);
        let mut set: Vec<Piece<A>> = Vec::new();
        for _ in 0..STEPS {
            match random.below(5) {
                0 | 1 => {
                    let class = classes[random.below(classes.len())];
                    set.extend((0..random.below(50)).map(|_| class.piece::<A>(&mut random)));
                }
                2 => {
                    let received = std::mem::take(&mut *mailboxes[own].lock().expect("no thread panics"));
                    set.extend(received);
                }
                3 => {
                    // The newest, so that bursts of one class go together, too.
                    let sent = set.split_off(set.len() - random.below(set.len().min(60) + 1));
                    mailboxes[random.below(THREADS)].lock().expect("no thread panics").extend(sent);
                }
                _ => {
                    for _ in 0..random.below(80).min(set.len()) {
                        let which = random.below(set.len());
                        drop(set.swap_remove(which));
                    }
                }
            }
            if set.len() > 1000 {
                set.truncate(500);
            }
            if random.below(500) == 0 {
                A::purge();
            }
        }
        // The rest dies with the thread, or later by another's hand.
        if own.is_multiple_of(2) {
            mailboxes[own].lock().expect("no thread panics").append(&mut set);
        }
    };
    let worker = &worker;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|own| scope.spawn(move || worker(own))).collect();
        for thread in threads {
            thread.join().expect("the thread ends well");
        }
    });
    for mailbox in mailboxes {
        mailbox.lock().expect("no thread panics").clear();
    }
}

/// As in the module `threads`: when all threads are gone, no block and no slab is.
fn threads<A: Subject>(classes: &'static [Class]) {
    let _turn = turn();
    for number in 0..3 {
        round::<A>(classes, number);
        A::purge();
        assert_eq!((blocks_live::<A>(), slabs::<A>()), (0, 0), "left behind:\n{}", A::stats());
    }
}

/// The worker keeps slabs, and may be about to fill a queue; but no block is lost, and slabs do not become more and more.
fn threads_and_worker<A: Subject>(classes: &'static [Class]) {
    let _turn = turn();
    let mut kept = None;
    for number in 0..4 {
        round::<A>(classes, number);
        no_block_is_left::<A>("threads");
        // One slab of each class at least; those beside it wait until the worker looks at them.
        let slabs = slabs::<A>();
        let first = *kept.get_or_insert(slabs);
        assert!(slabs <= first + classes.len() as u64, "{first} slabs after the first round, {slabs} after {number}");
    }
}

/// Allocates blocks of `layout` until there is no memory, and links them through their first words. Returns the first and
/// how many there are.
fn gather<A: Subject>(layout: Layout) -> (*mut *mut u8, usize) {
    let (mut first, mut count) = (ptr::null_mut::<*mut u8>(), 0);
    loop {
        let zeroed = count % 64 == 0;
        // SAFETY: no layout in these tests has size 0.
        let block = unsafe { if zeroed { A::default().alloc_zeroed(layout) } else { A::default().alloc(layout) } };
        let block = block.cast::<*mut u8>();
        if block.is_null() {
            return (first, count);
        }
        // SAFETY: the block is ours, of 8 bytes at least, and aligned to 8.
        unsafe { block.write(first.cast()) };
        first = block;
        count += 1;
    }
}

/// Frees what `gather` linked.
fn scatter<A: Subject>(mut first: *mut *mut u8, layout: Layout) {
    while !first.is_null() {
        let block = first;
        // SAFETY: `gather` wrote the link, and gave the block to the caller.
        unsafe {
            first = block.read().cast();
            A::default().dealloc(block.cast(), layout);
        }
    }
}

/// For each class: one thread takes all memory, and another, for which there may be none left to begin with, frees it;
/// then the first takes it again.
fn without_memory<A: Subject>(classes: &'static [Class]) {
    let classes = served(classes);
    let hoard: &AtomicPtr<*mut u8> = &AtomicPtr::new(ptr::null_mut());
    let turns: &Vec<Barrier> = &classes.iter().map(|_| Barrier::new(2)).collect();
    thread::scope(|scope| {
        let threads: Vec<_> = classes
            .iter()
            .zip(turns)
            .map(|(class, turn)| {
                let layout = Layout::from_size_align(class.class.usable as usize, 8).expect("a power of two");
                let stranger = move || {
                    turn.wait();
                    // SAFETY: the size is not 0.
                    let none = unsafe { A::default().alloc(layout) };
                    assert!(none.is_null());
                    scatter::<A>(hoard.swap(ptr::null_mut(), Ordering::Relaxed), layout);
                    turn.wait();
                };
                // Small, for all of them are there from the beginning; but the thread-locals of all allocators in this program,
                // 600 KiB, are in it.
                thread::Builder::new().stack_size(1 << 20).spawn_scoped(scope, stranger).expect("a thread")
            })
            .collect();
        limit_address_space(5 << 20);
        for ((class, turn), thread) in classes.iter().zip(turns).zip(threads) {
            let layout = Layout::from_size_align(class.class.usable as usize, 8).expect("a power of two");
            let (first, count) = gather::<A>(layout);
            assert!(count * layout.size() >= 1 << 20, "{count} of {:?}", class.class);
            hoard.store(first, Ordering::Relaxed);
            turn.wait();
            turn.wait();
            thread.join().expect("the thread ends well");
            let (first, again) = gather::<A>(layout);
            assert!(again >= count - count / 8, "{count}, and then {again} of {:?}", class.class);
            scatter::<A>(first, layout);
            A::purge();
            assert_eq!(blocks_live::<A>(), 0, "left behind by {:?}:\n{}", class.class.layers, A::stats());
        }
    });
}

#[test]
fn without_memory_one() {
    isolated("without_memory_one", || without_memory::<one::Heap>(one::Heap::CLASSES));
}

#[test]
fn without_memory_two() {
    isolated("without_memory_two", || without_memory::<two::Heap>(two::Heap::CLASSES));
}

#[test]
fn without_memory_three() {
    isolated("without_memory_three", || without_memory::<three::Heap>(three::Heap::CLASSES));
}

#[test]
fn without_memory_four() {
    isolated("without_memory_four", || without_memory::<four::Heap>(four::Heap::CLASSES));
}

#[test]
fn alone_one() {
    alone::<one::Heap>(one::Heap::CLASSES);
}

#[test]
fn alone_two() {
    alone::<two::Heap>(two::Heap::CLASSES);
}

#[test]
fn alone_three() {
    alone::<three::Heap>(three::Heap::CLASSES);
}

#[test]
fn alone_four() {
    alone::<four::Heap>(four::Heap::CLASSES);
}

#[test]
fn threads_one() {
    threads::<one::Heap>(one::Heap::CLASSES);
}

#[test]
fn threads_two() {
    threads::<two::Heap>(two::Heap::CLASSES);
}

#[test]
fn threads_three() {
    threads::<three::Heap>(three::Heap::CLASSES);
}

#[test]
fn threads_four() {
    threads_and_worker::<four::Heap>(four::Heap::CLASSES);
}
