//! A Treiber stack with a tag against the ABA problem.
//!
//! The stack is one 64-bit word. Bits 0–39 are the top node, bits 40–63 a tag that every change increments. A pop goes
//! wrong only if a multiple of 2²⁴ changes happen between its load and its compare-and-swap and leave the same node on
//! top.
//!
//! A node is an address without its low seven bits: the things on a stack (slab entries, magazines) are aligned to at
//! least 128 bytes and have addresses of 47 bits. They must never be unmapped, because a pop may read the link of a
//! node that another thread has just popped.

use crate::meta::arena;
use crate::meta::word::Word;
use core::sync::atomic::{AtomicU64, Ordering};

const NODE_BITS: u32 = 40;
const NODE: u64 = (1 << NODE_BITS) - 1;

/// How many low bits of an address a node leaves out: those that are 0 in the address of a slab entry, and of whatever
/// the arena hands out.
pub(crate) const NODE_SHIFT: u32 = 7;

const _: () = assert!(47 - NODE_SHIFT == NODE_BITS, "a node is an address of 47 bits without the low ones");
const _: () = assert!(arena::ALIGN == 1 << NODE_SHIFT, "what is in the arena can be put on a stack");

/// A stack of nodes. A node is a number of 40 bits, 0 for none, and has a link word.
#[derive(Debug, Default)]
pub struct TaggedStack<W = AtomicU64>(W);

/// The stack that the allocator uses: of nodes that are slabs, or magazines. The models in `tests/loom_*` have others.
pub type NodeStack = TaggedStack<AtomicU64>;

impl NodeStack {
    /// An empty stack.
    pub const fn empty() -> NodeStack {
        TaggedStack(AtomicU64::new(0))
    }
}

impl<W: Word> TaggedStack<W> {
    /// Wraps a word that holds 0.
    pub fn new(word: W) -> TaggedStack<W> {
        TaggedStack(word)
    }

    /// Whether the stack was empty when it was read.
    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) & NODE == 0
    }

    /// Puts `node`, whose link is `link`, on top. The caller owns the node.
    pub fn push(&self, node: u64, link: &W) {
        self.push_with(node, link, |_| 0);
    }

    /// [`push`](TaggedStack::push), which also stores the stack's new depth in the node's link, above the bits of the
    /// next node. `link` finds the link of this node and of any that was ever pushed. All nodes of a stack
    /// are pushed with this function, or all with the other.
    pub fn push_counted<'a>(&self, node: u64, link: impl Fn(u64) -> &'a W)
    where
        W: 'a,
    {
        self.push_with(node, link(node), |old| self.depth_of(old, &link).wrapping_add(1));
    }

    /// Puts `node` on top. Its link becomes the old top, and above it what `depth` returns.
    fn push_with(&self, node: u64, link: &W, depth: impl Fn(u64) -> u64) {
        // Acquire: `depth` may read the link of the top node.
        let mut old = self.0.load(Ordering::Acquire);
        loop {
            link.store(old & NODE | depth(old) << NODE_BITS, Ordering::Relaxed);
            // Release: a thread that pops the node sees its link and everything that its owner wrote.
            match self.0.compare_exchange_weak(old, next_tag(old) | node, Ordering::Release, Ordering::Acquire) {
                Ok(_) => return,
                Err(found) => old = found,
            }
        }
    }

    /// The depth, when it was read, of a stack whose nodes are counted.
    pub fn depth<'a>(&self, link: impl Fn(u64) -> &'a W) -> u64
    where
        W: 'a,
    {
        self.depth_of(self.0.load(Ordering::Acquire), &link)
    }

    /// The depth in the link of the top node of `word`. If that node was popped since, the result is arbitrary, and the
    /// stack's word is no longer `word`.
    fn depth_of<'a>(&self, word: u64, link: &impl Fn(u64) -> &'a W) -> u64
    where
        W: 'a,
    {
        let node = word & NODE;
        if node == 0 { 0 } else { link(node).load(Ordering::Relaxed) >> NODE_BITS }
    }

    /// Takes the top node. `link` finds the link of any node that was ever pushed.
    pub fn pop<'a>(&self, link: impl Fn(u64) -> &'a W) -> Option<u64>
    where
        W: 'a,
    {
        let mut old = self.0.load(Ordering::Acquire);
        loop {
            let node = old & NODE;
            if node == 0 {
                return None;
            }
            // Another thread may have popped the node since. Then its link is stale, and the tag makes the exchange
            // fail.
            let next = link(node).load(Ordering::Relaxed) & NODE;
            match self.0.compare_exchange_weak(old, next_tag(old) | next, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Some(node),
                Err(found) => old = found,
            }
        }
    }
}

/// The word with its tag incremented and without a node.
fn next_tag(word: u64) -> u64 {
    (word & !NODE).wrapping_add(1 << NODE_BITS)
}
