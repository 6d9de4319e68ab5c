//! `fork` in a program with threads: every lock is taken before and released on both sides after, so that neither
//! inherits one in the hands of a thread that does not exist.
//!
//! Handlers of the program may run between ours: those that were registered earlier prepare later, and run earlier after
//! the fork. So that they may allocate, the forking thread passes the locks that it holds for the fork (`Lock`).
//!
//! The child keeps what other threads of the parent had allocated, and their heaps' free memory stays unused in it: these
//! heaps may have been in the middle of a change.

use crate::global::Allocator;
use crate::meta::arena;
use crate::sys::lock::Lock;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// Every allocator of the program that was used at least once.
pub(crate) static ALLOCATORS: Lock<Allocators> = Lock::new(Allocators { newest: ptr::null(), count: 0, forks: 0 });

/// A list through the allocators' own links.
#[derive(Debug)]
pub(crate) struct Allocators {
    newest: *const Allocator,
    count: u8,
    /// Forks under way: more than one if a handler of the program forks.
    forks: u32,
}

// SAFETY: allocators are statics.
unsafe impl Send for Allocators {}

impl Allocators {
    /// Enters an allocator and returns its number, 1 to 255.
    pub(crate) fn add(&mut self, allocator: &'static Allocator) -> u8 {
        allocator.next.store(self.newest.cast_mut(), Ordering::Relaxed);
        self.newest = allocator;
        self.count = self.count.saturating_add(1);
        self.count
    }

    fn iter(&self) -> impl Iterator<Item = &'static Allocator> {
        let mut next = self.newest;
        core::iter::from_fn(move || {
            // SAFETY: null or a static.
            let allocator = unsafe { next.as_ref() }?;
            next = allocator.next.load(Ordering::Relaxed);
            Some(allocator)
        })
    }
}

/// What a fork holds ahead of everything here, in a program that has it: the rounds of the allocator's own threads. Told
/// by a pointer, so that it is in no other program. (As handlers of its own it had to be registered after these; but a
/// thread may come to that while another, which began at the same time, is still on its way to register these. Then a
/// fork waited for a round that waited for what the fork held.)
#[derive(Debug)]
pub(crate) struct EarlyHook {
    pub(crate) before: fn(),
    pub(crate) in_parent: fn(),
    pub(crate) in_child: fn(),
}

static AHEAD: AtomicPtr<EarlyHook> = AtomicPtr::new(ptr::null_mut());

/// From now on, each fork does that. All who say so mean the same.
pub(crate) fn hold_ahead(ahead: &'static EarlyHook) {
    // Release publishes the static to who loads it.
    AHEAD.store(ptr::from_ref(ahead).cast_mut(), Ordering::Release);
}

fn ahead() -> Option<&'static EarlyHook> {
    // SAFETY: null or a static.
    unsafe { AHEAD.load(Ordering::Acquire).as_ref() }
}

/// Installs the handlers, once. Outside every lock of ours, because the C library may allocate here.
pub(crate) fn install() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if !INSTALLED.swap(true, Ordering::Relaxed) {
        // SAFETY: the handlers are functions of the program that owns this crate.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    }
}

extern "C" fn before() {
    if let Some(ahead) = ahead() {
        (ahead.before)();
    }
    ALLOCATORS.hold_for_fork();
    let mut allocators = ALLOCATORS.lock();
    allocators.forks = allocators.forks.wrapping_add(1);
    if allocators.forks > 1 {
        return; // A handler forks, and all is held.
    }
    for allocator in allocators.iter() {
        allocator.before_fork();
    }
    arena::before_fork();
}

extern "C" fn in_parent() {
    if release()
        && let Some(ahead) = ahead()
    {
        (ahead.in_parent)();
    }
}

extern "C" fn in_child() {
    release();
    if let Some(ahead) = ahead() {
        (ahead.in_child)();
    }
}

/// Gives back what `before` took. `false`: a handler's fork ends here, and all is held on.
fn release() -> bool {
    let mut allocators = ALLOCATORS.lock();
    allocators.forks = allocators.forks.wrapping_sub(1);
    if allocators.forks > 0 {
        return false; // The other one goes on, on both sides.
    }
    arena::after_fork();
    // Also of an allocator that was first used in between, of which no lock is held.
    for allocator in allocators.iter() {
        allocator.after_fork();
    }
    drop(allocators);
    ALLOCATORS.release_after_fork();
    true
}
