//! A reference that any thread may read and replace.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering::*};

/// An atomic `Option<&'static T>`. All zero bytes are `None`.
#[derive(Debug)]
#[repr(transparent)]
pub(super) struct AtomicRef<T>(AtomicPtr<T>);

impl<T: Sync + 'static> AtomicRef<T> {
    pub(super) const fn none() -> AtomicRef<T> {
        AtomicRef(AtomicPtr::new(ptr::null_mut()))
    }

    pub(super) fn get(&self) -> Option<&'static T> {
        // SAFETY: the pointer is null or was a `&'static T`, because the methods below store nothing else. The acquire
        // load makes the value visible that was written before the reference was stored; `T: Sync` allows to share it.
        unsafe { self.0.load(Acquire).as_ref() }
    }

    pub(super) fn set(&self, value: &'static T) {
        self.0.store(ptr::from_ref(value).cast_mut(), Release);
    }

    /// Calls `link` with the present value and stores `new`; again, if another thread replaced the value in between.
    pub(super) fn push(&self, new: &'static T, link: impl Fn(Option<&'static T>)) {
        loop {
            let present = self.get();
            link(present);
            let expected = present.map_or(ptr::null_mut(), |present| ptr::from_ref(present).cast_mut());
            if self.0.compare_exchange_weak(expected, ptr::from_ref(new).cast_mut(), Release, Relaxed).is_ok() {
                return;
            }
        }
    }
}
