//! The class offset: a number whose type says of which groups its class is, so that only its maker has to prove it.

use crate::size_table::{MAX_CLASSES, NO_OFFSET};
use core::fmt;
use core::marker::PhantomData;

/// A class offset for each class index, or `NO_OFFSET`.
pub(crate) type Offsets = [u16; MAX_CLASSES];

/// Some of an allocator's classes.
pub trait ClassSet: 'static {
    /// The class offset at which they end.
    const END: usize;
    /// The class offset of each, by class index, as the code of its group computes it; `NO_OFFSET` for other classes. For
    /// proofs at compile time; no code reads it.
    const OFFSETS: Offsets;
}

/// No class.
impl ClassSet for () {
    const END: usize = 0;
    const OFFSETS: Offsets = [NO_OFFSET; MAX_CLASSES];
}

/// Those of `L`, then those of `R`.
impl<L: ClassSet, R: ClassSet> ClassSet for (L, R) {
    const END: usize = R::END;
    const OFFSETS: Offsets = {
        let (left, right) = (L::OFFSETS, R::OFFSETS);
        let mut offsets = left;
        let mut class = 0;
        while class < MAX_CLASSES {
            if right[class] != NO_OFFSET {
                assert!(left[class] == NO_OFFSET, "a class is of one group");
                assert!(right[class] as usize >= L::END, "`half` finds a class on the right there");
                offsets[class] = right[class];
            } else if left[class] != NO_OFFSET {
                assert!((left[class] as usize) < L::END, "`half` finds a class on the left there");
            }
            class += 1;
        }
        offsets
    };
}

/// Whether each class of `Part` is one of `All`, at the same offset.
const fn is_part<Part: ClassSet, All: ClassSet>() -> bool {
    let (part, all) = (Part::OFFSETS, All::OFFSETS);
    let mut class = 0;
    while class < MAX_CLASSES {
        if part[class] != NO_OFFSET && part[class] != all[class] {
            return false;
        }
        class += 1;
    }
    true
}

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

impl<Part: ClassSet> ClassOffset<Part> {
    /// The same class, as one of more.
    #[inline(always)]
    pub(crate) fn widen<All: ClassSet>(self) -> ClassOffset<All> {
        const { assert!(is_part::<Part, All>()) };
        ClassOffset(self.0, PhantomData)
    }
}

impl<L: ClassSet, R: ClassSet> ClassOffset<(L, R)> {
    /// Of which half the class is.
    #[inline(always)]
    pub(crate) fn half(self) -> Result<ClassOffset<L>, ClassOffset<R>> {
        // The assertions in `OFFSETS` hold.
        const { assert!(is_part::<(L, R), (L, R)>()) };
        if self.0 < L::END { Ok(ClassOffset(self.0, PhantomData)) } else { Err(ClassOffset(self.0, PhantomData)) }
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
