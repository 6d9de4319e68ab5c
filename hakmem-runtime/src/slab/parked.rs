//! A parked slab: one whose owner sleeps, and which another thread looks after meanwhile.
//!
//! The owner's hits execute no atomic instruction and take no lock, so nothing keeps it from waking up in between. What the
//! other thread, the keeper, does about it:
//!
//! ```text
//! 1. it closes the heap's lock: the owner's slow paths wait from now on
//! 2. it writes PARKED to `owner`, and takes the current slabs from the thread cache: hits that begin later miss
//! 3. a fence on all processors: at most one hit can go on as if nothing had happened, one that began before it
//! 4. it moves what is on the lists to the bitmap, and writes to no word that a hit writes
//! 5. it opens the lock. The owner's next slow path reopens the slab
//! ```
//!
//! What that one hit does is seen by comparing a list's head with what it was:
//!
//! - A free puts one block on `local_free`. Only the first block of a changed list is looked at: what it leads to was taken.
//! - An allocation takes the first block of `free`. So this block stays, in use as the keeper counts: its page is not purged.
//!   If it is still the first when the slab is reopened, it is free.
//!
//! The slab of a free in flight is not empty, as the block is not in the bitmap, and the slab of an allocation in flight is
//! current: the keeper retires neither an empty current slab nor one that the owner's own frees emptied.

use super::class::Class;
use super::free_list::FreeList;
use super::metadata::{PARKED, Slab};
use core::ptr;
use core::sync::atomic::Ordering;

/// What became of a slab that the keeper looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It stays the owner's: a block is in use, or it is current, or the owner may be about to retire it.
    InUse,
    /// No block is in use since other threads freed the last ones.
    Emptied,
}

/// The keeper's part. The heap's lock is closed, and the slab is in one of the heap's bins.
impl Slab {
    /// Before the fence.
    pub(crate) fn shut(&self) {
        self.parked.taken.set(false);
        self.owner.store(PARKED, Ordering::Relaxed);
    }

    /// After the fence: moves the lists, and what other threads freed, to the bitmap, and purges the holes. Also for a slab
    /// that was taken over before: then others may have freed more. `current`: a hit that goes on may find the slab, so that
    /// it is kept though it is empty.
    pub(crate) fn take_over(&self, class: &Class, current: bool) -> Kept {
        let first = !self.parked.taken.replace(true);
        if first {
            self.take_lists();
        }
        let in_use = self.in_use_by_bitmap();
        let freed = self.take_remote();
        let changed = first | freed.is_some();
        freed.into_iter().for_each(|(blocks, _)| blocks.into_blocks().for_each(|block| self.mark_free(block)));
        // The owner's own free of the last block retires the slab, once its slow path can enter.
        if !current && in_use > 0 && self.in_use_by_bitmap() == 0 {
            return Kept::Emptied;
        }
        if changed {
            self.note_purged(self.in_use_by_bitmap());
            self.purge_holes(class);
        }
        Kept::InUse
    }

    /// Blocks that are not free in the bitmap. Those on the lists are.
    fn in_use_by_bitmap(&self) -> u32 {
        self.carved().wrapping_sub(self.free_count())
    }

    fn take_lists(&self) {
        let freed = self.local_free.peek();
        self.parked.local_free.set(freed);
        self.mark_all_free(freed);
        let first = self.free.peek();
        self.parked.free.set(first);
        if first.is_null() {
            return;
        }
        let after = link_in(first);
        // Had the owner popped the block before its link was read, what was read might be the program's. Then the owner's
        // store of the head, which comes before the program's, is seen now.
        let now = self.free.peek();
        if now == first {
            self.mark_all_free(after);
        } else {
            // That was the one hit that was possible: nobody pops the rest.
            self.parked.free.set(ptr::null_mut());
            self.mark_all_free(now);
        }
    }

    /// Marks the blocks free that the one at `head` leads to, and that one; none if that is null.
    fn mark_all_free(&self, head: *mut u8) {
        // SAFETY: a block of this slab that is on one of its lists, and that a hit leaves there from now on. It is the
        // keeper's with all that it leads to.
        unsafe { FreeList::from_head(head) }.into_blocks().for_each(|block| self.mark_free(block));
    }
}

/// The link in the block at `block`, or what the program has written there by now.
fn link_in(block: *mut u8) -> *mut u8 {
    let link;
    // In assembly, as the program may be writing to its first bytes.
    // SAFETY: the block's memory is mapped as long as the slab is in use.
    unsafe {
        core::arch::asm!(
            "mov {link}, qword ptr [{block}]",
            link = out(reg) link,
            block = in(reg) block,
            options(readonly, nostack, preserves_flags),
        );
    }
    link
}

/// The owner's part. The heap's lock is the owner's.
impl Slab {
    /// Makes a slab that was shut or taken over this owner's again, with all that is free in its bitmap. It is not bound.
    pub(crate) fn reopen(&self, owner: usize) {
        let (free, local_free) = (self.free.take_all(), self.local_free.take_all());
        if !self.parked.taken.get() {
            free.into_blocks().chain(local_free.into_blocks()).for_each(|block| self.mark_free(block));
        } else {
            let (kept, taken) = (self.parked.free.get(), self.parked.local_free.get());
            // Nothing was allocated from it.
            let kept = if !kept.is_null() && free.peek() == kept { free.pop() } else { None };
            let freed = if local_free.peek() == taken { None } else { local_free.pop() };
            kept.into_iter().chain(freed).for_each(|block| self.mark_free(block));
        }
        self.used.set(self.in_use_by_bitmap());
        self.owner.store(owner, Ordering::Relaxed);
    }
}
