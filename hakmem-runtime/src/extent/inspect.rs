//! What is at any address of a segment, for the report of a crash. Reads records alone, without the lock.

use super::extents::Extents;
use super::segment::{Record, Segment, UNIT};

/// What an address of a segment is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtentAt {
    /// A block that starts at this address, with so many bytes.
    Block(usize, usize),
    /// Pages that no block has.
    Free,
    /// The segment's own records.
    Records,
}

/// How many records to look at for the start of an extent: those of 16 GiB.
const RECORDS: usize = 1 << 22;

impl Extents {
    /// What is at `address`; `None`: no segment of the allocator with this id. If another thread unmaps the segment
    /// meanwhile, the access to its records fails.
    pub(crate) fn extent_at(id: u8, address: usize) -> Option<ExtentAt> {
        // SAFETY: nothing holds the segment. That it may be unmapped is said above: atomics are read from it, for which any
        // value is valid, and a fault of a handler that was called for one ends the program just as well.
        let (_, segment) = unsafe { Segment::at(address) }.filter(|&(of, _)| of == id)?;
        let (units, unit) = (segment.usable_units(), segment.unit(address));
        if !units.contains(&unit) {
            return Some(ExtentAt::Records);
        }
        let first = units.start.max(unit.saturating_sub(RECORDS));
        let start = (first..=unit).rev().find(|&unit| segment.record(unit) != Record::Inside);
        Some(match start.map(|start| (start, segment.record(start))) {
            // The unit before a free extent's last one may be inside it.
            Some((start, Record::Used { length, offset })) if unit < start + length => {
                ExtentAt::Block(segment.address(start).wrapping_add(offset), length * UNIT - offset)
            }
            _ => ExtentAt::Free,
        })
    }
}
