//! A doubly linked list of slabs, linked through their metadata. Only for the owner of the slabs.

use super::metadata::{Slab, SlabLink};
use core::cell::Cell;

/// A list of slabs.
///
/// # Invariants
/// `first.previous` and `last.next` lead to no slab, and `a.next == b ⇔ b.previous == a`. A slab is on one list at most,
/// and the owner of the list owns the slab.
#[derive(Debug)]
pub(crate) struct SlabList {
    first: SlabLink,
    last: SlabLink,
    count: Cell<u32>,
}

impl SlabList {
    /// An empty list.
    pub(crate) const EMPTY: SlabList = SlabList { first: SlabLink::NONE, last: SlabLink::NONE, count: Cell::new(0) };

    pub(crate) fn count(&self) -> u32 {
        self.count.get()
    }

    /// Pushes `new`, which is on no list, to the beginning.
    pub(crate) fn push(&self, new: &'static Slab) {
        let second = self.first.get();
        new.previous.set(None);
        new.next.set(second);
        second.map_or(&self.last, |second| &second.previous).set(Some(new));
        self.first.set(Some(new));
        self.count.set(self.count.get().wrapping_add(1));
    }

    /// Removes `old`, which is on this list.
    pub(crate) fn remove(&self, old: &'static Slab) {
        let (previous, next) = (old.previous.get(), old.next.get());
        previous.map_or(&self.first, |previous| &previous.next).set(next);
        next.map_or(&self.last, |next| &next.previous).set(previous);
        self.count.set(self.count.get().wrapping_sub(1));
    }

    /// Removes the first slab.
    pub(crate) fn pop(&self) -> Option<&'static Slab> {
        self.first.get().inspect(|slab| self.remove(slab))
    }

    /// Removes the last slab.
    pub(crate) fn pop_last(&self) -> Option<&'static Slab> {
        self.last.get().inspect(|slab| self.remove(slab))
    }

    /// The slabs, first to last. The caller may remove the slab that was yielded last before it asks for the next.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static Slab> {
        let mut next = self.first.get();
        core::iter::from_fn(move || {
            let this = next?;
            next = this.next.get();
            Some(this)
        })
    }
}
