//! The cold paths of a linked list whose bound allocations do not pay for: of `unified`, and of what was freed in `hot`.

use super::Below;
use crate::slab::block::{Block, Chain};
use core::cell::Cell;
use core::ptr;

/// The list that begins at `head`, with room for `room` frees until it is looked at: two words of a layer's state, which
/// arranges them as suits its hits.
///
/// # Invariants
/// ```text
/// length + room ≤ limit
/// ```
/// A push moves one from `room` to the length; a pop only shortens the list. `room < 0` only between a push and the
/// overflow that follows it.
pub(super) struct List<'a> {
    pub(super) head: &'a Cell<*mut Block>,
    pub(super) room: &'a Cell<i32>,
}

impl List<'_> {
    /// After a push that used the room up: looks how long the list is, and passes the older half on if it must.
    pub(super) fn overflow(&self, limit: u32, below: &mut impl Below) {
        let mut chain = self.take_all();
        // Allocations may have made room since the last look; then there is nothing to pass on.
        if chain.count() <= limit - limit / 4 {
            self.fill(chain, limit);
            below.tick();
            return;
        }
        let older = chain.split_off((limit / 2).max(1));
        self.fill(chain, limit);
        below.absorb(older);
    }

    /// At most `want` blocks.
    pub(super) fn demand(&self, want: u32, limit: u32) -> Chain {
        let mut chain = self.take_all();
        let rest = chain.split_off(want.max(1));
        self.fill(rest, limit);
        chain
    }

    /// Takes `chain` in, and gives on to `below` what is too much.
    pub(super) fn absorb(&self, chain: Chain, limit: u32, below: &mut impl Below) {
        let mut all = self.take_all();
        all.prepend(chain);
        // Half of it when it is full, so that the next blocks find room.
        let older = if all.count() > limit { all.split_off((limit / 2).max(1)) } else { Chain::EMPTY };
        self.fill(all, limit);
        below.absorb(older);
    }

    /// The whole list, which has no room any more.
    pub(super) fn drain(&self) -> Chain {
        self.room.set(0);
        self.take_all()
    }

    /// Makes `chain`, of at most `limit` blocks, the list.
    pub(super) fn fill(&self, chain: Chain, limit: u32) {
        self.head.set(chain.head());
        self.room.set(limit.saturating_sub(chain.count()) as i32);
    }

    /// The whole list, its length and its last block found by walking. The list is empty then.
    fn take_all(&self) -> Chain {
        // SAFETY: what was on the list is free and the layer's.
        unsafe { Chain::walk(self.head.replace(ptr::null_mut())) }
    }
}
