//! Every block that the script has: who got it, where, and what must be in it. And the blocks on their way from one thread to
//! another.

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::fmt;

/// A block in use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) address: usize,
    pub(crate) layout: Layout,
    pub(crate) seed: u64,
    pub(crate) owner: usize,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a block of {} bytes at {:#x}, of thread {}", self.layout.size(), self.address, self.owner)
    }
}

/// Blocks up to this length have a pattern in every word; longer ones at their ends and at the start of every page.
const WHOLE: usize = 2048;
const EDGE: usize = 64;
const PAGE: usize = 4096;

impl Held {
    /// The words with a pattern, by their offset, ascending. (The last bytes of a length that is no multiple of a word have
    /// none.)
    fn offsets(&self) -> Vec<usize> {
        let end = self.layout.size() & !7;
        if end <= WHOLE {
            return (0..end).step_by(8).collect();
        }
        let pages = (0..end).step_by(PAGE).map(|offset| (self.address + offset).next_multiple_of(PAGE) - self.address);
        let inside = pages.filter(|offset| (EDGE..end - EDGE).contains(offset));
        (0..EDGE).step_by(8).chain(inside).chain((end - EDGE..end).step_by(8)).collect()
    }

    fn word(&self, offset: usize) -> *mut u64 {
        std::ptr::with_exposed_provenance_mut(self.address + offset)
    }

    /// The first word below `length` bytes that is not what was written, now that the block is at an address.
    pub(crate) fn find_wrong(&self, address: usize, length: usize) -> Option<(usize, u64)> {
        let moved = Held { address, ..*self };
        let mut words = self.offsets().into_iter().take_while(|offset| offset + 8 <= length).map(|offset| {
            // SAFETY: the block is this long there, aligned to a word, and the script's.
            (offset, unsafe { moved.word(offset).read() })
        });
        words.find(|&(offset, found)| found != self.pattern(offset))
    }

    fn pattern(&self, offset: usize) -> u64 {
        (self.seed << 32 | 1) ^ offset as u64
    }

    pub(crate) fn fill(&self) {
        // SAFETY: the block is this long, aligned to a word, and the script's.
        self.offsets().into_iter().for_each(|offset| unsafe { self.word(offset).write(self.pattern(offset)) });
    }

    /// The first of these words that is not 0.
    pub(crate) fn find_used(&self) -> Option<(usize, u64)> {
        // SAFETY: as above; all of it was written, or is the kernel's zeroes.
        let mut words = self.offsets().into_iter().map(|offset| (offset, unsafe { self.word(offset).read() }));
        words.find(|&(_, found)| found != 0)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    blocks: BTreeMap<usize, Held>,
    /// How many blocks there ever were.
    count: u64,
    /// Blocks under way to anybody: who takes one frees it.
    pub(crate) sent: Vec<usize>,
}

impl Model {
    /// A block that lies in a range, at least in part.
    pub(crate) fn overlapping(&self, address: usize, length: usize) -> Option<&Held> {
        let (_, last) = self.blocks.range(..address + length).next_back()?;
        (last.address + last.layout.size() > address).then_some(last)
    }

    /// Enters a block that was just allocated.
    pub(crate) fn enter(&mut self, address: usize, layout: Layout, owner: usize) -> Held {
        self.count += 1;
        let held = Held { address, layout, seed: self.count, owner };
        self.blocks.insert(address, held);
        held
    }

    /// Enters a block again that could not be resized.
    pub(crate) fn put_back(&mut self, held: Held) {
        self.blocks.insert(held.address, held);
    }

    /// Takes a block out, to free it.
    pub(crate) fn remove(&mut self, address: usize) -> Held {
        self.blocks.remove(&address).expect("a block of the script's")
    }

    /// The blocks in use.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Held> {
        self.blocks.values()
    }
}
