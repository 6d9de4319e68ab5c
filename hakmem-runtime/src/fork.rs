//! `fork` in a program with threads: every lock is taken before and released on both sides after, so that neither
//! inherits one in the hands of a thread that does not exist.
//!
//! The child keeps what other threads of the parent had allocated, and their heaps' free memory stays unused in it: these
//! heaps may have been in the middle of a change.

use crate::allocator::Allocator;
use crate::os::arena;
use crate::os::lock::Lock;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

/// Every allocator of the program that was used at least once.
pub(crate) static ALLOCATORS: Lock<Allocators> = Lock::new(Allocators { newest: ptr::null(), count: 0 });

/// A list through the allocators' own links.
#[derive(Debug)]
pub(crate) struct Allocators {
    newest: *const Allocator,
    count: u8,
}

// SAFETY: allocators are statics.
unsafe impl Send for Allocators {}

impl Allocators {
    /// Enters an allocator and returns its number, 1 to 255.
    pub(crate) fn add(&mut self, allocator: &'static Allocator) -> u8 {
        allocator.elder.store(self.newest.cast_mut(), Ordering::Relaxed);
        self.newest = allocator;
        self.count = self.count.saturating_add(1);
        self.count
    }

    fn iter(&self) -> impl Iterator<Item = &'static Allocator> {
        let mut next = self.newest;
        core::iter::from_fn(move || {
            // SAFETY: null or a static.
            let allocator = unsafe { next.as_ref() }?;
            next = allocator.elder.load(Ordering::Relaxed);
            Some(allocator)
        })
    }
}

/// Installs the handlers, once. Outside every lock of ours, because the C library may allocate here.
pub(crate) fn install() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if !INSTALLED.swap(true, Ordering::Relaxed) {
        // SAFETY: the handlers are functions of the program that owns this crate.
        unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
    }
}

extern "C" fn before() {
    ALLOCATORS.acquire();
    // SAFETY: we hold the lock; `after` gives it back, on the thread that forks.
    let allocators = core::mem::ManuallyDrop::new(unsafe { ALLOCATORS.held() });
    for allocator in allocators.iter() {
        allocator.before_fork();
    }
    arena::before_fork();
}

extern "C" fn after() {
    arena::after_fork();
    // SAFETY: `before` took the lock on this thread; dropping the guard releases it.
    let allocators = unsafe { ALLOCATORS.held() };
    for allocator in allocators.iter() {
        allocator.after_fork();
    }
}
