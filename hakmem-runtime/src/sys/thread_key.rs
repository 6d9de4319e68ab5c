//! A value per thread, with a destructor that runs when the thread exits: a typed `pthread_key_t`.

use core::marker::PhantomData;
use core::mem::transmute;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

/// A `pthread_key_t` for values of type `&'static T`. Never deleted.
#[derive(Debug)]
pub(crate) struct ThreadKey<T: 'static> {
    /// The key plus one; 0 before `create`, or if that failed.
    number: AtomicU32,
    /// (No value is stored here.)
    values: PhantomData<fn(&'static T)>,
}

impl<T> ThreadKey<T> {
    /// No key yet.
    pub(crate) const fn new() -> ThreadKey<T> {
        ThreadKey { number: AtomicU32::new(0), values: PhantomData }
    }

    /// Creates the key. When a thread that has a value exits, `end` is called with it. Called once. If the C library
    /// has no keys left, no thread gets a value.
    pub(crate) fn create(&self, end: extern "C" fn(&'static T)) {
        let mut key = 0;
        // SAFETY: `key` is a live local for the result. The C library calls the function only with a value that is not
        // null, which came from `set`: a `&'static T`. References and pointers to a sized type have the same ABI.
        let failed = unsafe {
            let end = transmute::<extern "C" fn(&'static T), unsafe extern "C" fn(*mut libc::c_void)>(end);
            libc::pthread_key_create(&raw mut key, Some(end))
        };
        if failed == 0 {
            self.number.store(key.wrapping_add(1), Ordering::Release);
        }
    }

    fn key(&self) -> Option<libc::pthread_key_t> {
        self.number.load(Ordering::Acquire).checked_sub(1)
    }

    /// The calling thread's value, if it has one.
    #[cfg(hakmem_record)]
    #[inline]
    pub(crate) fn get(&self) -> Option<&'static T> {
        let key = self.key()?;
        // SAFETY: the key was created and is never deleted. The value is null, or the `&'static T` passed to `set` in
        // this thread.
        unsafe { libc::pthread_getspecific(key).cast::<T>().as_ref() }
    }

    /// Sets the calling thread's value. `false`: without a key, or without memory, it has none, and `end` is not called.
    pub(crate) fn set(&self, value: &'static T) -> bool {
        self.key().is_some_and(|key| {
            // SAFETY: the key was created and is never deleted.
            unsafe { libc::pthread_setspecific(key, ptr::from_ref(value).cast()) == 0 }
        })
    }
}
