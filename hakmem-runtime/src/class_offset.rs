//! The class offset: a number whose type says of which groups its class is, so that only its maker has to prove it.

use core::fmt;
use core::marker::PhantomData;

/// The class offset of a class of the groups `Of`: the distance from the start of the thread cache to the state of the
/// class's first layer, in units of [`ThreadCache::UNIT`](crate::thread_cache::ThreadCache::UNIT) bytes.
#[repr(transparent)]
pub struct ClassOffset<Of>(usize, PhantomData<fn() -> Of>);

impl<Of> ClassOffset<Of> {
    /// Says of which groups the class at `offset` is.
    ///
    /// # Safety
    /// `offset` is that of a class of `Of`.
    #[inline(always)]
    pub(crate) unsafe fn new(offset: usize) -> Self {
        ClassOffset(offset, PhantomData)
    }

    /// The number.
    #[inline(always)]
    pub(crate) fn get(self) -> usize {
        self.0
    }
}

// Not derived: that would ask the same of `Of`.

impl<Of> Clone for ClassOffset<Of> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<Of> Copy for ClassOffset<Of> {}

impl<Of> PartialEq for ClassOffset<Of> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<Of> fmt::Debug for ClassOffset<Of> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
