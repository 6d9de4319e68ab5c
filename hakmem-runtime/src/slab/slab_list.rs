//! A doubly linked list of slabs, linked through their metadata. Only for the owner of the slabs.

use super::metadata::Slab;
use core::cell::Cell;
use core::ptr;

/// A list of slabs.
///
/// # Invariants
/// `first.previous == null`, `last.next == null`, and `a.next == b ⇔ b.previous == a`. A slab is on one list at most,
/// and the owner of the list owns the slab.
#[derive(Debug)]
pub(crate) struct SlabList {
    first: Cell<*const Slab>,
    last: Cell<*const Slab>,
    count: Cell<u32>,
}

/// The slab that a link leads to.
fn slab(link: *const Slab) -> Option<&'static Slab> {
    // SAFETY: links are null or were made from a `&'static Slab` by `link`, or by the coercions in `push`.
    unsafe { link.as_ref() }
}

/// The link to a slab, or null.
fn link(slab: Option<&'static Slab>) -> *const Slab {
    slab.map_or(ptr::null(), ptr::from_ref)
}

impl SlabList {
    /// An empty list.
    pub(crate) const EMPTY: SlabList =
        SlabList { first: Cell::new(ptr::null()), last: Cell::new(ptr::null()), count: Cell::new(0) };

    pub(crate) fn count(&self) -> u32 {
        self.count.get()
    }

    /// Pushes `new`, which is on no list, to the beginning.
    pub(crate) fn push(&self, new: &'static Slab) {
        let second = slab(self.first.get());
        new.previous.set(ptr::null());
        new.next.set(link(second));
        match second {
            Some(second) => second.previous.set(new),
            None => self.last.set(new),
        }
        self.first.set(new);
        self.count.set(self.count.get().wrapping_add(1));
    }

    /// Removes `old`, which is on this list.
    pub(crate) fn remove(&self, old: &'static Slab) {
        let (previous, next) = (slab(old.previous.get()), slab(old.next.get()));
        match previous {
            Some(previous) => previous.next.set(link(next)),
            None => self.first.set(link(next)),
        }
        match next {
            Some(next) => next.previous.set(link(previous)),
            None => self.last.set(link(previous)),
        }
        self.count.set(self.count.get().wrapping_sub(1));
    }

    /// Removes the first slab.
    pub(crate) fn pop(&self) -> Option<&'static Slab> {
        slab(self.first.get()).inspect(|slab| self.remove(slab))
    }

    /// Removes the last slab.
    pub(crate) fn pop_last(&self) -> Option<&'static Slab> {
        slab(self.last.get()).inspect(|slab| self.remove(slab))
    }

    /// The slabs, first to last. The caller may remove the slab that was yielded last before it asks for the next.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static Slab> {
        let mut next = slab(self.first.get());
        core::iter::from_fn(move || {
            let this = next?;
            next = slab(this.next.get());
            Some(this)
        })
    }
}
