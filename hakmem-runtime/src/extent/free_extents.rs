//! The free extents: found by length, or by how long they have been free.
//!
//! Bins of extents of similar length, with a bitmap of those that are not empty ("two-level
//! segregated fit", Masmano and others, 2004). A request looks at a few extents, from its own bin on: constant time, and
//! seldom an eighth longer than asked.
//!
//! Each extent has a node here, apart from its memory, which is not touched.

use super::bins::{BINS, bin_of};
use super::segment::{Record, Segment};
use crate::meta::arena;
use core::iter;
use core::mem::replace;
use core::ptr;
use core::slice;

const BITMAP: usize = BINS.div_ceil(u64::BITS as usize);

/// The most extents that a request compares in one bin. After so many in all, it takes the best that serves.
const CANDIDATES: usize = 16;

/// The most extents with refused pages that are queued for another purge at once.
const RETRIES: usize = 64;

/// Nodes in the first chunk; each chunk has twice as many as the one before.
const FIRST_CHUNK: usize = 64;
const CHUNKS: usize = 24;

/// A free extent.
#[derive(Debug, Clone, Copy)]
pub(super) struct FreeExtent {
    pub(super) segment: Segment,
    pub(super) unit: usize,
    /// In units.
    pub(super) length: usize,
    /// How many of its units count as dirty.
    pub(super) dirty: usize,
    /// When it was freed, in milliseconds.
    pub(super) since: u32,
}

impl FreeExtent {
    /// Whether it is all of its segment.
    pub(super) fn is_whole_segment(&self) -> bool {
        self.length == self.segment.usable_units().len()
    }

    pub(super) fn end(&self) -> usize {
        self.unit + self.length
    }

    /// Writes that no free extent starts or ends where this one does.
    pub(super) fn erase_records(&self) {
        self.segment.set_record(self.unit, Record::Inside);
        self.segment.set_record(self.end() - 1, Record::Inside);
    }
}

/// A free extent, and its places in two lists; or a spare node. All zero is a spare node that was never used.
///
/// # Invariants
/// A node in use is in the bin of its length, and in the list by age if memory or address space can go back. Links are
/// indices, plus one; 0: none. A spare node is linked by `next`.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// Where the extent starts; 0: the node is spare.
    address: usize,
    /// In units.
    length: u32,
    dirty: u32,
    since: u32,
    next: u32,
    previous: u32,
    newer: u32,
    older: u32,
    aging: bool,
}

const SPARE: Node =
    Node { address: 0, length: 0, dirty: 0, since: 0, next: 0, previous: 0, newer: 0, older: 0, aging: false };

const _: () = assert!(size_of::<Node>() == 40);

impl Node {
    fn extent(&self) -> Option<FreeExtent> {
        // SAFETY: the node is of a free extent, and nodes are under the lock.
        let (_, segment) = if self.address == 0 { None } else { unsafe { Segment::at(self.address) } }?;
        let unit = segment.unit(self.address);
        let (length, dirty) = (self.length as usize, self.dirty as usize);
        Some(FreeExtent { segment, unit, length, dirty, since: self.since })
    }
}

/// # Invariants
/// ```text
/// bitmap has bin b  ⇔  heads[b] != 0
/// dirty == sum of the extents' dirty units
/// nodes in use + spare == nodes in chunks; those from `ever_used` on were never used
/// ```
#[derive(Debug)]
pub(super) struct FreeExtents {
    chunks: [Option<&'static mut [Node]>; CHUNKS],
    heads: [u32; BINS],
    bitmap: [u64; BITMAP],
    oldest: u32,
    newest: u32,
    /// The spare nodes that were used before.
    spare_head: u32,
    ever_used: u32,
    /// The last node that `retry_refused` came to.
    retried: u32,
    /// Nodes that are not in use.
    pub(super) spare: usize,
    /// Dirty units.
    pub(super) dirty: usize,
}

impl FreeExtents {
    #[cfg(test)]
    pub(super) const EMPTY: FreeExtents = FreeExtents {
        chunks: [const { None }; CHUNKS],
        heads: [0; BINS],
        bitmap: [0; BITMAP],
        oldest: 0,
        newest: 0,
        spare_head: 0,
        ever_used: 0,
        retried: 0,
        spare: 0,
        dirty: 0,
    };

    /// Where the node of a link is: its chunk, and its place there. A link of 0 leads nowhere.
    fn place(link: u32) -> Option<(usize, usize)> {
        let number = (link as usize).checked_sub(1)? + FIRST_CHUNK;
        let chunk = number.ilog2() - FIRST_CHUNK.ilog2();
        Some((chunk as usize, number - (FIRST_CHUNK << chunk)))
    }

    fn node(&self, link: u32) -> Option<&Node> {
        let (chunk, place) = Self::place(link)?;
        self.chunks.get(chunk)?.as_ref()?.get(place)
    }

    fn node_mut(&mut self, link: u32) -> Option<&mut Node> {
        let (chunk, place) = Self::place(link)?;
        self.chunks.get_mut(chunk)?.as_mut()?.get_mut(place)
    }

    /// Makes more spare nodes. `false`: there is no memory.
    #[cold]
    #[inline(never)]
    pub(super) fn grow(&mut self) -> bool {
        let Some(chunk) = self.chunks.iter().position(Option::is_none) else { return false };
        let count = FIRST_CHUNK << chunk;
        let memory = arena::allocate(count * size_of::<Node>());
        if memory == 0 {
            return false;
        }
        const { assert!(align_of::<Node>() <= arena::ALIGN) };
        // SAFETY: the arena's memory has room for `count` nodes, is aligned (asserted above), nobody else's and never
        // unmapped. It is zero, which is a spare node: integers and a bool.
        let nodes = unsafe { slice::from_raw_parts_mut(ptr::with_exposed_provenance_mut::<Node>(memory), count) };
        if let Some(place) = self.chunks.get_mut(chunk) {
            *place = Some(nodes);
        }
        self.spare += count;
        true
    }

    /// Puts an extent in and writes its records. There is a spare node.
    pub(super) fn insert(&mut self, extent: FreeExtent) {
        self.insert_beside(self.newest, extent);
    }

    /// The same for an extent that has probably been free for as long as the one at `other`.
    #[inline(never)]
    pub(super) fn insert_beside(&mut self, other: u32, extent: FreeExtent) {
        let link = match self.spare_head {
            0 => {
                self.ever_used += 1;
                self.ever_used
            }
            spare => spare,
        };
        let Some(node) = self.node_mut(link) else { return };
        let next_spare = node.next;
        *node = SPARE;
        self.spare_head = next_spare;
        self.spare -= 1;
        self.fill(link, extent, other);
    }

    /// Replaces a node's extent by another. The node keeps its place by age if both wait for a purge.
    pub(super) fn replace(&mut self, link: u32, extent: FreeExtent) {
        self.unlink(link);
        self.fill(link, extent, self.newest);
    }

    /// Writes `extent` to a node that is in no bin; puts the node in its bin and, if it waits for a purge, in the list by
    /// age; and writes the records.
    fn fill(&mut self, link: u32, extent: FreeExtent, beside: u32) {
        let FreeExtent { segment, unit, length, dirty, since } = extent;
        let bin = bin_of(length);
        let head = self.heads.get(bin).copied().unwrap_or(0);
        let ages = dirty > 0 || extent.is_whole_segment();
        let Some(node) = self.node_mut(link) else { return };
        (node.address, node.length, node.dirty) = (segment.address(unit), length as u32, dirty as u32);
        (node.since, node.next, node.previous) = (since, head, 0);
        let aged = node.aging;
        if let Some(second) = self.node_mut(head) {
            second.previous = link;
        }
        self.set_head(bin, link);
        self.dirty += dirty;
        match (aged, ages) {
            (false, true) => self.enqueue(link, since, beside),
            (true, false) => self.dequeue(link),
            _ => {}
        }
        let record = Record::Free { node: link };
        segment.set_record(unit, record);
        segment.set_record(extent.end() - 1, record);
    }

    /// Takes an extent out. Its records are the caller's to write.
    #[inline(never)]
    pub(super) fn remove(&mut self, link: u32) -> Option<FreeExtent> {
        let extent = self.get(link)?;
        self.unlink(link);
        self.dequeue(link);
        let next = self.spare_head;
        *self.node_mut(link)? = Node { next, ..SPARE };
        self.spare_head = link;
        self.spare += 1;
        Some(extent)
    }

    /// Queues some extents of which the kernel refused to take pages back for another purge, as if they had been freed at
    /// `since`; others the next time. `false`: there are none.
    #[inline(never)]
    pub(super) fn retry_refused(&mut self, since: u32) -> bool {
        let mut found = 0;
        for _ in 0..self.ever_used {
            // From 1 to `ever_used`.
            self.retried = if self.retried < self.ever_used { self.retried + 1 } else { 1 };
            let Some(extent) = self.get(self.retried).filter(|extent| extent.dirty == 0) else { continue };
            // The bits of refused pages stay dirty. A whole segment waits as it is.
            let dirty = extent.segment.count_dirty(extent.unit..extent.end());
            if dirty > 0 && !extent.is_whole_segment() {
                self.replace(self.retried, FreeExtent { dirty, since, ..extent });
                found += 1;
            }
            if found == RETRIES {
                break;
            }
        }
        found > 0
    }

    /// Takes a node out of its bin.
    fn unlink(&mut self, link: u32) {
        let Some(&Node { next, previous, length, dirty, .. }) = self.node(link) else { return };
        match self.node_mut(previous) {
            Some(node) => node.next = next,
            None => self.set_head(bin_of(length as usize), next),
        }
        if let Some(node) = self.node_mut(next) {
            node.previous = previous;
        }
        self.dirty -= dirty as usize;
    }

    /// Adds a node to the list by age: after the one at `beside`, if it is as old; as the oldest, if it was that before; or
    /// else from the newest on.
    fn enqueue(&mut self, link: u32, since: u32, beside: u32) {
        // With those of the same millisecond it is the newest, if they are all there is; else the oldest, as a walk past all
        // younger ones could be long.
        let age_to = |link: u32| self.node(link).map_or(0, |node| since.wrapping_sub(node.since) as i32);
        let is_oldest = age_to(self.oldest) < 0 || age_to(self.oldest) == 0 && age_to(self.newest) < 0;
        let mut older = match self.node(beside) {
            _ if is_oldest => 0,
            Some(node) if node.aging && node.since == since => beside,
            _ => self.newest,
        };
        while age_to(older) < 0 {
            older = self.node(older).map_or(0, |node| node.older);
        }
        let newer = match self.node_mut(older) {
            Some(node) => replace(&mut node.newer, link),
            None => replace(&mut self.oldest, link),
        };
        match self.node_mut(newer) {
            Some(node) => node.older = link,
            None => self.newest = link,
        }
        if let Some(node) = self.node_mut(link) {
            (node.older, node.newer, node.aging) = (older, newer, true);
        }
    }

    /// Takes a node out of the list by age, if it is there.
    fn dequeue(&mut self, link: u32) {
        let Some(node) = self.node_mut(link).filter(|node| node.aging) else { return };
        let (older, newer) = (node.older, node.newer);
        (node.older, node.newer, node.aging) = (0, 0, false);
        match self.node_mut(older) {
            Some(node) => node.newer = newer,
            None => self.oldest = newer,
        }
        match self.node_mut(newer) {
            Some(node) => node.older = older,
            None => self.newest = older,
        }
    }

    fn set_head(&mut self, bin: usize, head: u32) {
        if let Some(place) = self.heads.get_mut(bin) {
            *place = head;
        }
        if let Some(word) = self.bitmap.get_mut(bin / 64) {
            let bit = 1 << (bin % 64);
            *word = if head == 0 { *word & !bit } else { *word | bit };
        }
    }

    pub(super) fn get(&self, link: u32) -> Option<FreeExtent> {
        self.node(link)?.extent()
    }

    /// The extents of a bin.
    fn in_bin(&self, bin: usize) -> impl Iterator<Item = (u32, FreeExtent)> {
        let head = self.heads.get(bin).copied().unwrap_or(0);
        iter::successors(Some(head), |&link| Some(self.node(link)?.next))
            .map_while(|link| Some((link, self.get(link)?)))
    }

    /// The first bin, from `bin` on, that is not empty.
    fn bin_in_use(&self, bin: usize) -> Option<usize> {
        let mut mask = u64::MAX << (bin % 64);
        for (index, word) in self.bitmap.iter().enumerate().skip(bin / 64) {
            if word & mask != 0 {
                return Some(index * 64 + (word & mask).trailing_zeros() as usize);
            }
            mask = u64::MAX;
        }
        None
    }

    /// Of a few extents that `serve` and have at least `length` units, the one with the most dirty units for a request of
    /// this length: memory that is resident is used before memory that is not. Of equals the first: lower bins come
    /// first, and within a bin what was put there last.
    #[inline(never)]
    pub(super) fn find(&self, length: usize, serves: impl Fn(&FreeExtent) -> bool) -> Option<u32> {
        let mut best: Option<(usize, u32)> = None;
        let (mut bin, mut compared) = (bin_of(length), 0);
        while let Some(found) = self.bin_in_use(bin) {
            for (link, extent) in self.in_bin(found).take(CANDIDATES) {
                if extent.length >= length && serves(&extent) {
                    let dirty = extent.dirty.min(length);
                    if best.is_none_or(|(most, _)| dirty > most) {
                        best = Some((dirty, link));
                    }
                }
                compared += 1;
            }
            if best.is_some_and(|(dirty, _)| dirty == length || compared >= CANDIDATES) {
                break;
            }
            bin = found + 1;
        }
        best.map(|(_, link)| link)
    }

    /// The extent with memory or address space to give back that has been free for longest.
    pub(super) fn oldest(&self) -> Option<(u32, FreeExtent)> {
        Some((self.oldest, self.get(self.oldest)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_of_zero_leads_nowhere_and_the_others_to_a_node_each() {
        assert_eq!(FreeExtents::place(0), None);
        let mut expected = (0, 0);
        for link in 1..10_000 {
            assert_eq!(FreeExtents::place(link), Some(expected));
            expected = if expected.1 + 1 == FIRST_CHUNK << expected.0 {
                (expected.0 + 1, 0)
            } else {
                (expected.0, expected.1 + 1)
            };
        }
    }
}
