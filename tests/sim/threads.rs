//! The threads of a run: POSIX threads that begin when they get the turn, and keep it until nothing of the runtime's is called
//! in them any more.

use crate::plan::{Plan, Result};
use crate::schedule::{Event, ME, Run, State, give, me, pass, point, set, take, with};
use libc::c_void;
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

thread_local! {
    /// How often the destructor of this thread's key was called.
    static ROUNDS: Cell<u32> = const { Cell::new(0) };
    /// What the destructor does in each round; in the last one it is told so.
    static ACTS: Cell<Option<fn(bool)>> = const { Cell::new(None) };
}

/// Runs `body` as the first thread of a run, in a process that has no other threads.
pub(crate) fn start(plan: Plan, results: [&'static Result; 2], body: impl FnOnce()) {
    let mut run = Run::new(plan, results);
    run.add_thread();
    set(run);
    let key = last_key();
    KEY.store(key, Ordering::Relaxed);
    ME.set(Some(0));
    body();
    with(|run| run.complete_all(0));
    ME.set(None);
}

static KEY: AtomicU32 = AtomicU32::new(0);

/// The rounds of destructors at a thread's end.
const LAST_ROUND: u32 = 4;

/// A key whose destructor is called after those of all keys that are made later.
fn last_key() -> libc::pthread_key_t {
    let keys: Vec<libc::pthread_key_t> = (0..40)
        .map(|_| {
            let mut key = 0;
            // SAFETY: the place for the result is a local; the destructor ignores its argument.
            assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(destroy)) }, 0);
            key
        })
        .collect();
    let (last, others) = keys.split_last().expect("forty");
    for &key in others {
        // SAFETY: it was just made, and has no values.
        unsafe { libc::pthread_key_delete(key) };
    }
    *last
}

/// Has the calling thread do this in each round of its destructors.
pub(crate) fn at_end(act: fn(bool)) {
    ACTS.set(Some(act));
}

/// The destructor: keeps itself alive until the last round, at whose end nothing of the runtime's is called any more.
unsafe extern "C" fn destroy(_: *mut c_void) {
    ROUNDS.set(ROUNDS.get() + 1);
    if let Some(act) = ACTS.get() {
        act(ROUNDS.get() == LAST_ROUND);
    }
    if ROUNDS.get() < LAST_ROUND {
        arm();
        return;
    }
    let me = me();
    point(Event::Script("end", me));
    let turn = with(|run| {
        run.complete_all(me);
        run.threads[me].state = State::Ended;
        for thread in &mut run.threads {
            if thread.state == State::Joining(me) {
                thread.state = State::Ready;
            }
        }
        let next = run.choose(me, true);
        run.trace(next as u64);
        run.threads[next].turn
    });
    ME.set(None);
    give(turn);
}

fn arm() {
    // SAFETY: the key was made and is not deleted; its values are only compared with null.
    unsafe { libc::pthread_setspecific(KEY.load(Ordering::Relaxed), ptr::without_provenance(1)) };
}

pub(crate) type Main = extern "C" fn(*mut c_void) -> *mut c_void;

/// What a thread of the run's begins with.
struct Beginning {
    number: usize,
    turn: &'static AtomicU32,
    main: Main,
    argument: *mut c_void,
}

extern "C" fn begin(boxed: *mut c_void) -> *mut c_void {
    // SAFETY: `create` made the box.
    let beginning = *unsafe { Box::from_raw(boxed.cast::<Beginning>()) };
    take(beginning.turn);
    ME.set(Some(beginning.number));
    arm();
    (beginning.main)(beginning.argument)
}

/// `pthread_create` by a thread of the run's, through the C library's `create`.
pub(crate) fn create(
    main: Main,
    argument: *mut c_void,
    create: impl FnOnce(*mut libc::pthread_t, Main, *mut c_void) -> i32,
) -> libc::pthread_t {
    point(Event::Script("create", 0));
    let beginning = with(|run| {
        let number = run.add_thread();
        Beginning { number, turn: run.threads[number].turn, main, argument }
    });
    let number = beginning.number;
    let mut posix = 0;
    let error = create(&raw mut posix, begin, Box::into_raw(Box::new(beginning)).cast());
    with(|run| {
        run.threads[number].posix = posix;
        if error != 0 {
            run.fail("the simulator itself gets no thread");
        }
    });
    posix
}

/// Waits for the end of a thread of the run's, before the C library is asked to join it.
pub(crate) fn join(posix: libc::pthread_t) {
    let me = me();
    loop {
        point(Event::Script("join", 0));
        let next = with(|run| {
            let number = run.threads.iter().rposition(|thread| thread.posix == posix).expect("a thread of the run's");
            if run.threads[number].state == State::Ended {
                return None;
            }
            run.threads[me].state = State::Joining(number);
            Some(run.choose(me, true))
        });
        match next {
            None => return,
            Some(next) => pass(me, next),
        }
    }
}
