//! The edges of a thread's and of the program's life: before `main`, in thread-local destructors, in the destructors of
//! pthread keys, in `atexit` handlers, behind them; and that dead threads leave nothing behind.

use crate::Heap;
use crate::blocks::{KIB, MIB, Piece, Random, Subject, blocks_live, layout, on_a_thread, pieces, slabs, subjects};
use crate::rerun::{is_child, isolated};
use crate::resident::resident;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// Allocators that only one test uses, so that its books are exact.
mod destructors {
    hakmem::allocator! {
        pub(super) struct Heap;
    }
}

mod freeing {
    hakmem::allocator! {
        pub(super) struct Heap;
    }
}

mod reuse {
    hakmem::allocator! {
        pub(super) struct Heap;
    }
}

subjects!(destructors::Heap, freeing::Heap, reuse::Heap);

// Before main.

static EARLY: AtomicPtr<Vec<String>> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn before_main() {
    let strings: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    EARLY.store(Box::into_raw(Box::new(strings)), Ordering::Relaxed);
}

#[used]
// SAFETY: the section holds pointers to functions that are called without arguments that we need.
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

#[test]
fn what_was_allocated_before_main_is_good() {
    let early = EARLY.swap(std::ptr::null_mut(), Ordering::Relaxed);
    assert!(!early.is_null() && Heap::owns(early.cast()));
    // SAFETY: the pointer came from `Box::into_raw`, and the swap gave it to nobody else.
    let strings = unsafe { Box::from_raw(early) };
    assert!(strings.iter().enumerate().all(|(number, string)| *string == number.to_string()));
}

// After main.

/// Set in the process whose end is under test.
static ENDING: AtomicBool = AtomicBool::new(false);
static KEPT: AtomicPtr<Vec<String>> = AtomicPtr::new(std::ptr::null_mut());

/// Frees what `main` left, allocates much of all sizes, and says so without std.
fn late_work(message: &str) {
    let kept = KEPT.swap(std::ptr::null_mut(), Ordering::Relaxed);
    if !kept.is_null() {
        // SAFETY: the pointer came from `Box::into_raw`, and the swap gave it to nobody else.
        drop(unsafe { Box::from_raw(kept) });
    }
    let mut random = Random::new(1);
    for _ in 0..10 {
        let pieces: Vec<Piece<Heap>> = (0..100).map(|_| Piece::new(random.layout(MIB), 3, true)).collect();
        drop(pieces);
    }
    // SAFETY: the message is as long as it is.
    unsafe { libc::write(1, message.as_ptr().cast(), message.len()) };
}

extern "C" fn at_exit() {
    late_work("at exit\n");
}

extern "C" fn at_the_very_end() {
    if ENDING.load(Ordering::Relaxed) {
        late_work("at the very end\n");
    }
}

#[used]
// SAFETY: the section holds pointers to functions that are called without arguments that we need.
#[unsafe(link_section = ".fini_array")]
static AT_THE_VERY_END: extern "C" fn() = at_the_very_end;

#[test]
fn the_allocator_works_after_main() {
    let output = isolated("the_allocator_works_after_main", || {
        ENDING.store(true, Ordering::Relaxed);
        let strings: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        KEPT.store(Box::into_raw(Box::new(strings)), Ordering::Relaxed);
        // SAFETY: the handler is a function of this program, which is not unloaded.
        assert_eq!(unsafe { libc::atexit(at_exit) }, 0);
    });
    if !is_child() {
        assert!(output.contains("at exit\n") && output.contains("at the very end\n"), "{output}");
    }
}

// Destructors.

static DESTROYED: AtomicUsize = AtomicUsize::new(0);

/// Something with blocks of both allocators, of which its drop frees some, and allocates and frees others.
struct Restless {
    text: String,
    arrays: Vec<Vec<u64>>,
    pieces: Vec<Piece<destructors::Heap>>,
}

impl Restless {
    fn new(number: usize) -> Restless {
        Restless {
            text: format!("number {number}"),
            arrays: (0..100).map(|_| vec![number as u64; 20]).collect(),
            pieces: (1..100).map(|size| Piece::new(layout(size * 20), number as u8 + 1, false)).collect(),
        }
    }
}

impl Drop for Restless {
    fn drop(&mut self) {
        self.pieces.truncate(50);
        let more: Vec<Piece<destructors::Heap>> = (1..100).map(|size| Piece::new(layout(size), 77, true)).collect();
        self.pieces.extend(more.into_iter().take(20));
        assert!(self.text.starts_with("number ") && self.arrays.iter().all(|array| array[0] == array[19]));
        self.text = self.text.repeat(1000);
        DESTROYED.fetch_add(1, Ordering::Relaxed);
    }
}

thread_local! {
    static FIRST: RefCell<Vec<Restless>> = const { RefCell::new(Vec::new()) };
    static SECOND: RefCell<Option<Box<Restless>>> = const { RefCell::new(None) };
    static ROUNDS: Cell<usize> = const { Cell::new(0) };
}

/// The destructor of a pthread key. It asks for another round twice: then it runs after the allocator's own key, whose
/// heap must begin again, and end again.
extern "C" fn key_destructor(key_plus_one: *mut libc::c_void) {
    drop(Restless::new(5));
    if ROUNDS.replace(ROUNDS.get() + 1) < 2 {
        // SAFETY: the key exists, and its value is its own number.
        unsafe { libc::pthread_setspecific((key_plus_one.addr() - 1) as libc::pthread_key_t, key_plus_one) };
    }
}

fn new_key() -> libc::pthread_key_t {
    let mut key = 0;
    // SAFETY: `key` is a place for the result.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(key_destructor)) }, 0);
    key
}

#[test]
fn destructors_may_allocate_and_free() {
    const THREADS: usize = 20;
    // One key from before the allocator's first use, which makes a key of its own, and one from after it: destructors
    // run in the order of the keys.
    let before = new_key();
    drop(Piece::<destructors::Heap>::new(layout(10), 1, false));
    let keys = [before, new_key()];
    for number in 0..THREADS {
        let body = move || {
            SECOND.with_borrow_mut(|second| *second = Some(Box::new(Restless::new(number))));
            FIRST.with_borrow_mut(|first| first.extend((0..3).map(Restless::new)));
            let key = keys[number % 2];
            // SAFETY: the key exists, and its value is its own number plus one, for it must not be null.
            unsafe { libc::pthread_setspecific(key, std::ptr::without_provenance(key as usize + 1)) };
        };
        on_a_thread(body);
    }
    // Four in thread-local storage, three from the key.
    assert_eq!(DESTROYED.load(Ordering::Relaxed), THREADS * 7);
    destructors::Heap::purge();
    assert_eq!(blocks_live::<destructors::Heap>(), 0, "left behind:\n{}", destructors::Heap::stats());
}

// What threads leave.

#[test]
fn short_lived_threads_leave_the_memory_flat() {
    isolated("short_lived_threads_leave_the_memory_flat", || {
        let spawn = |count: usize| {
            for number in 0..count {
                let body = move || {
                    let mut random = Random::new(number as u64);
                    let pieces: Vec<Piece<Heap>> =
                        (0..30).map(|_| Piece::new(random.layout(64 * KIB), 9, false)).collect();
                    pieces.len()
                };
                assert_eq!(on_a_thread(body), 30);
            }
        };
        spawn(500);
        let before = resident();
        spawn(5000);
        let growth = resident().saturating_sub(before);
        assert!(growth < 4 * MIB, "{growth} bytes more after 5000 threads\n{}", Heap::stats());
    });
}

#[test]
fn a_thread_may_only_free() {
    let mut random = Random::new(3);
    let pieces: Vec<Piece<freeing::Heap>> = (0..20_000).map(|_| Piece::new(random.layout(MIB), 4, false)).collect();
    on_a_thread(move || drop(pieces));
    freeing::Heap::purge();
    let left = (blocks_live::<freeing::Heap>(), slabs::<freeing::Heap>());
    assert_eq!(left, (0, 0), "left behind:\n{}", freeing::Heap::stats());
}

/// Bytes of slabs that have a class.
fn reserved<A: Subject>() -> u64 {
    let mut sum = 0;
    A::stats().for_each(|class| sum += class.bytes_reserved);
    sum
}

#[test]
fn memory_of_dead_threads_is_used_again() {
    let generation = |survivors: Vec<Piece<reuse::Heap>>| {
        let body = move || {
            // 8 MiB, of which each block lies in another slab's midst when half of them are freed.
            let mut pieces = pieces::<reuse::Heap>(128, 64 * KIB);
            drop(survivors);
            let mut number = 0_usize;
            pieces.retain(|_| {
                number += 1;
                number.is_multiple_of(2)
            });
            pieces
        };
        on_a_thread(body)
    };
    let mut survivors = generation(Vec::new());
    for _ in 0..2 {
        survivors = generation(survivors);
    }
    let before = reserved::<reuse::Heap>();
    for _ in 0..10 {
        survivors = generation(survivors);
    }
    let after = reserved::<reuse::Heap>();
    // At the peak, 4 MiB survive from the generation before while 8 MiB are allocated.
    assert!(after <= before + before / 10, "{before} bytes in slabs before, {after} after");
    drop(survivors);
    reuse::Heap::purge();
    assert_eq!(blocks_live::<reuse::Heap>(), 0, "left behind:\n{}", reuse::Heap::stats());
}
