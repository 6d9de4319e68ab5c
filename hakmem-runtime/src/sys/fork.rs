//! `fork` in a program with threads: the runtime takes all of its locks before the fork and releases them after it, in
//! the parent and in the child, so that the child never inherits a lock held by a thread that it does not have.
//!
//! A part of the runtime with such locks registers a [`ForkHook`]. A fork takes the locks in the order in which the
//! rest of the runtime nests them:
//!
//! ```text
//! the C library's list of streams → workers' rounds → list of hooks → each hook, newest first (an allocator: keeper → idle heaps → extents → pool) → arena
//! ```
//!
//! The arena comes last because it is registered first, before any allocator.
//!
//! Our handlers are registered before `main`. Handlers are called in the reverse order of their registration before a
//! fork, and in that order after it; so nearly all of the program's handlers run before the locks are taken or after
//! they are released, and may wait for threads that allocate. A handler that a
//! constructor registered before ours runs while the locks are held. It may allocate, so the forking thread may lock
//! again what it holds for the fork (see [`Lock::hold_for_fork`]). It may even fork; forks in progress are counted, and
//! the outermost one releases.
//!
//! A process that has one thread takes no lock: nobody else can hold one, and each word that is written costs the parent and
//! the child a copy of its page (15 of 60 µs that forks took longer than without us).
//!
//! The child keeps what the parent's other threads had allocated. Free memory in those threads' heaps stays unused in
//! the child, because a heap may have been in the middle of a change.

use super::atomic_ref::AtomicRef;
use super::lock::{Guard, Lock};
use super::{libc_safe, program};
use core::cell::Cell;
use core::fmt;
use core::iter;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

/// A part of the runtime with locks to hold during a fork.
pub(crate) trait ForkHook: Sync {
    /// Before the fork: takes the locks.
    fn hold(&self);

    /// After it, in the parent and in the child: releases the locks. Also called for a hook that was registered during
    /// the fork, none of whose locks is held.
    fn release(&self);

    /// The hook's link in the list, the same one at every call.
    fn link(&self) -> &ForkLink;
}

type Hook = &'static dyn ForkHook;

/// A hook's links in the list of hooks.
pub(crate) struct ForkLink {
    previous: Cell<Option<Hook>>,
    next: Cell<Option<Hook>>,
    number: Cell<Option<u8>>,
}

// SAFETY: the cells are private to this module, which reads and writes them through `Hooks` only. The one `Hooks` is in
// a lock, so no two threads access a cell at the same time. What the cells hold may be shared between threads:
// `ForkHook` is `Sync`.
unsafe impl Sync for ForkLink {}

impl ForkLink {
    pub(crate) const fn new() -> ForkLink {
        ForkLink { previous: Cell::new(None), next: Cell::new(None), number: Cell::new(None) }
    }
}

impl fmt::Debug for ForkLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForkLink") // Its fields may be read under the lock only.
    }
}

/// Every registered hook.
pub(crate) struct Hooks {
    newest: Option<Hook>,
    oldest: Option<Hook>,
    count: u8,
    /// Forks in progress: more than one if a fork handler of the program forks.
    forks: u32,
}

static HOOKS: Lock<Hooks> = Lock::new(Hooks { newest: None, oldest: None, count: 0, forks: 0 });

/// The hooks, locked.
pub(crate) fn hooks() -> Guard<'static, Hooks> {
    HOOKS.lock()
}

impl Hooks {
    /// Registers a hook, unless it is registered already. Returns its number: how many were registered before it, at
    /// most 255.
    pub(crate) fn register(&mut self, hook: Hook) -> u8 {
        let link = hook.link();
        if let Some(number) = link.number.get() {
            return number;
        }
        let number = self.count;
        link.number.set(Some(number));
        link.previous.set(self.newest);
        match self.newest {
            Some(newest) => newest.link().next.set(Some(hook)),
            None => self.oldest = Some(hook),
        }
        self.newest = Some(hook);
        self.count = self.count.saturating_add(1);
        number
    }

    fn newest_first(&self) -> impl Iterator<Item = Hook> {
        iter::successors(self.newest, |hook| hook.link().previous.get())
    }

    fn oldest_first(&self) -> impl Iterator<Item = Hook> {
        iter::successors(self.oldest, |hook| hook.link().next.get())
    }
}

/// What a fork does before it locks the list of hooks, and after it has released it.
///
/// It cannot be a `pthread_atfork` handler of its own: these run before a fork in reverse order of registration, so it would
/// have to be registered after the ones here; but one thread may have reason to, while another is about to register these.
///
/// A program without reason must not link its functions. Hence the pointers, which only those set who have one.
#[derive(Debug)]
pub(crate) struct EarlyHook {
    pub(crate) hold: fn(),
    pub(crate) release_in_parent: fn(),
    pub(crate) release_in_child: fn(),
}

/// Who has an [`EarlyHook`], in the order in which they are called before a fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Early {
    /// C's `malloc` (`c/streams.rs`).
    Streams,
    /// Programs with background threads (`worker.rs`): it waits until each of these is between two rounds of work. It cannot be
    /// a `ForkHook`: a round may register one, by the first use of an allocator. If the fork held the list and then waited for
    /// that round, they would deadlock.
    Workers,
}

static EARLY: [AtomicRef<EarlyHook>; 2] = [const { AtomicRef::none() }; 2];

/// Sets an early hook. The last call counts; all hooks passed for one do the same.
pub(crate) fn set_early_hook(early: Early, hook: &'static EarlyHook) {
    if let Some(place) = EARLY.get(early as usize) {
        place.set(Some(hook));
    }
}

fn early_hooks() -> impl DoubleEndedIterator<Item = &'static EarlyHook> {
    EARLY.iter().filter_map(AtomicRef::get)
}

/// Installs the handlers when the program or library is loaded. The first use of an allocator would be too late: a fork
/// by one thread, while another is between that first use and the end of `pthread_atfork`, would not see the handlers,
/// and its child may find a lock held by a third.
#[used]
// SAFETY: the section holds pointers to functions that the C library calls, with arguments that `at_start` ignores.
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = at_start;

extern "C" fn at_start() {
    install();
}

/// Installs the fork handlers, once. Allocators call it at their first use, which may be in a constructor that runs
/// before ours. The caller must hold no lock of the runtime, as the C library may allocate here.
pub(crate) fn install() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if !INSTALLED.swap(true, Ordering::Relaxed) {
        SINGLE_THREADED.set(program::byte(c"__libc_single_threaded"));
        call(prepare, parent, child);
    }
}

/// The C library's (glibc's, since 2.32): not 0 as long as the process has certainly one thread.
static SINGLE_THREADED: AtomicRef<AtomicU8> = AtomicRef::none();

fn is_single_threaded() -> bool {
    // What the simulator calls threads the C library does not know.
    !cfg!(hakmem_sim) && SINGLE_THREADED.get().is_some_and(|single| single.load(Ordering::Relaxed) != 0)
}

/// Registers functions to be called around each fork: before it (last registered, first called), and after it in the
/// parent and in the child. If this fails (no memory), a child may find locks held.
pub(crate) fn call(before: extern "C" fn(), in_parent: extern "C" fn(), in_child: extern "C" fn()) {
    if cfg!(miri) {
        return; // It has no forks.
    }
    libc_safe::pthread_atfork(Some(before), Some(in_parent), Some(in_child));
}

extern "C" fn prepare() {
    // If a fork handler forks, everything is held already.
    let is_outermost = !HOOKS.is_held_for_fork();
    if is_outermost && is_single_threaded() {
        return;
    }
    if is_outermost {
        early_hooks().for_each(|early| (early.hold)());
        HOOKS.hold_for_fork();
    }
    let mut hooks = HOOKS.lock();
    hooks.forks = hooks.forks.wrapping_add(1);
    if is_outermost {
        hooks.newest_first().for_each(ForkHook::hold);
    }
}

extern "C" fn parent() {
    if HOOKS.is_held_for_fork() && release() {
        early_hooks().rev().for_each(|early| (early.release_in_parent)());
    }
}

/// How many forks lie between this process and the first that loaded the runtime, and one more.
static GENERATION: AtomicU32 = AtomicU32::new(1);

/// A number that this process has, and that those which forked it have not; never 0.
#[inline]
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

extern "C" fn child() {
    if !HOOKS.is_held_for_fork() {
        return;
    }
    GENERATION.store(generation().wrapping_add(1).max(1), Ordering::Relaxed);
    release();
    // Also in the child of an inner fork: none of the workers' threads exists there.
    early_hooks().rev().for_each(|early| (early.release_in_child)());
}

/// Releases what `prepare` took, in the opposite order. `false`: this was a fork within a fork handler. The outer fork,
/// which continues in the parent and in the child, still needs the locks.
fn release() -> bool {
    let mut hooks = HOOKS.lock();
    hooks.forks = hooks.forks.wrapping_sub(1);
    if hooks.forks > 0 {
        return false;
    }
    for hook in hooks.oldest_first() {
        hook.release();
    }
    drop(hooks);
    HOOKS.release_after_fork();
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::vec::Vec;

    static CALLS: Mutex<Vec<(char, u8)>> = Mutex::new(Vec::new());

    struct Recorded(u8, ForkLink);

    impl ForkHook for Recorded {
        fn hold(&self) {
            CALLS.lock().expect("no test panics with it").push(('h', self.0));
        }
        fn release(&self) {
            CALLS.lock().expect("no test panics with it").push(('r', self.0));
        }
        fn link(&self) -> &ForkLink {
            &self.1
        }
    }

    #[test]
    fn hooks_are_held_newest_first_and_released_in_the_opposite_order() {
        static RECORDED: [Recorded; 3] =
            [Recorded(0, ForkLink::new()), Recorded(1, ForkLink::new()), Recorded(2, ForkLink::new())];
        let mut hooks = Hooks { newest: None, oldest: None, count: 0, forks: 0 };
        for _ in 0..2 {
            let numbers: Vec<u8> = RECORDED.iter().map(|hook| hooks.register(hook)).collect();
            assert_eq!(numbers, [0, 1, 2], "the second time they are registered already");
        }
        hooks.newest_first().for_each(ForkHook::hold);
        hooks.oldest_first().for_each(ForkHook::release);
        let calls = CALLS.lock().expect("nobody panicked").clone();
        assert_eq!(calls, [('h', 2), ('h', 1), ('h', 0), ('r', 0), ('r', 1), ('r', 2)]);
    }
}
