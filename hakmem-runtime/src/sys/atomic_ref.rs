//! A reference that any thread may read and replace.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering::*};

/// An atomic `Option<&'static T>`. All zero bytes are `None`.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct AtomicRef<T>(AtomicPtr<T>);

impl<T: Sync + 'static> AtomicRef<T> {
    pub(crate) const fn none() -> AtomicRef<T> {
        AtomicRef(AtomicPtr::new(ptr::null_mut()))
    }

    pub(crate) fn get(&self) -> Option<&'static T> {
        // SAFETY: the pointer is null or was a `&'static T`, because the methods below store nothing else. The acquire
        // load makes the value visible that was written before the reference was stored; `T: Sync` allows to share it.
        unsafe { self.0.load(Acquire).as_ref() }
    }

    pub(crate) fn set(&self, value: Option<&'static T>) {
        self.0.store(pointer(value), Release);
    }

    /// Calls `link` with the present value, stores `new` and returns the value before; again, if another thread replaced
    /// it in between.
    pub(crate) fn push(&self, new: &'static T, link: impl Fn(Option<&'static T>)) -> Option<&'static T> {
        loop {
            let present = self.get();
            link(present);
            if self.0.compare_exchange_weak(pointer(present), pointer(Some(new)), Release, Relaxed).is_ok() {
                return present;
            }
        }
    }
}

/// The address of a value, or null.
fn pointer<T>(value: Option<&'static T>) -> *mut T {
    value.map_or(ptr::null_mut(), |value| ptr::from_ref(value).cast_mut())
}
