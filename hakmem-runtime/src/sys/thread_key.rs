//! A value per thread, and what is done with it when the thread ends.

use core::marker::PhantomData;
use core::mem::transmute;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

/// A key of the C library's for values of type `&'static T`. Never deleted.
#[derive(Debug)]
pub(crate) struct ThreadKey<T: 'static> {
    /// The key, plus one; 0 before it is created, and where there was none to be had.
    number: AtomicU32,
    /// (Values are passed in and out, each in its thread: there is none here.)
    values: PhantomData<fn(&'static T)>,
}

impl<T> ThreadKey<T> {
    /// No key yet.
    pub(crate) const fn new() -> ThreadKey<T> {
        ThreadKey { number: AtomicU32::new(0), values: PhantomData }
    }

    /// Creates the key: at the end of a thread that has a value, `end` is called with it. Called once. If the C library has no
    /// more keys, no thread has a value.
    pub(crate) fn create(&self, end: extern "C" fn(&'static T)) {
        let mut key = 0;
        // SAFETY: `key` is a place for the result. The C library calls the function with the thread's value unless that is null,
        // so with what `set` was given, and a reference is passed as a pointer is.
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
        // SAFETY: the key exists. The value is null, or what `set` was given in this thread.
        unsafe { libc::pthread_getspecific(key).cast::<T>().as_ref() }
    }

    /// Gives the calling thread a value. Without a key, or without memory, it has none, and its end goes unnoticed.
    pub(crate) fn set(&self, value: &'static T) {
        if let Some(key) = self.key() {
            // SAFETY: the key exists.
            unsafe { libc::pthread_setspecific(key, ptr::from_ref(value).cast()) };
        }
    }
}
