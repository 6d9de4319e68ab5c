//! How many slabs a class's blocks are cut from.

use crate::model::{Geometry, SlabShape};

impl Geometry {
    /// The shape of the spans of a class of `size` that does not set `slab_units`.
    pub fn shape(&self, size: u32) -> SlabShape {
        derive(*self, size, 0)
    }
}

/// A span should hold at least this many blocks: with fewer, it is full or empty too often to be worth keeping. Larger
/// blocks get by with fewer, because one block in use keeps the memory of the whole span from every other class.
fn enough_blocks(geometry: Geometry, size: u32) -> u32 {
    match geometry.slab / size.max(1) {
        8.. => 8,
        2.. => 4,
        _ => 2,
    }
}

/// At most one part in this many of a span should be slack. It costs address space only: slack is never touched.
const SLACK_PARTS: u32 = 8;

/// A span of `slabs` slabs, cut in blocks of `size` that begin after `first_block_offset` bytes.
pub(crate) fn of(geometry: Geometry, slabs: u32, size: u32, first_block_offset: u32) -> SlabShape {
    let bytes = slabs * geometry.slab;
    // The runtime keeps a bit for each 16 bytes of a slab.
    let blocks = bytes.saturating_sub(first_block_offset) / size.max(16);
    let used = first_block_offset + blocks * size;
    SlabShape { slabs, first_block_offset, blocks, slack: bytes - used.min(bytes) }
}

/// The shape of a class whose spec does not set one: the shortest span with enough blocks and little slack; if there is
/// none, the one with the least slack, among those with enough blocks if possible.
///
/// The size is at most half a SuperSlab, so that the longest span holds a block; unless the size is exactly that and
/// something precedes the first block. Then the shape has no blocks, and the spec is rejected.
pub(crate) fn derive(geometry: Geometry, size: u32, first_block_offset: u32) -> SlabShape {
    let enough = enough_blocks(geometry, size);
    let shapes = || (1..=geometry.max_span_slabs()).map(|slabs| of(geometry, slabs, size, first_block_offset));
    if let Some(good) =
        shapes().find(|shape| shape.blocks >= enough && shape.slack <= shape.slabs * geometry.slab / SLACK_PARTS)
    {
        return good;
    }
    let least_slack = |at_least: u32| {
        shapes()
            .filter(|shape| shape.blocks >= at_least)
            // slack/slabs compared as fractions; of two equals `reduce` keeps the first, which is the shorter.
            .reduce(|best, next| {
                let (a, b) =
                    (u64::from(next.slack) * u64::from(best.slabs), u64::from(best.slack) * u64::from(next.slabs));
                if a < b { next } else { best }
            })
    };
    least_slack(enough)
        .or_else(|| least_slack(1))
        .unwrap_or_else(|| of(geometry, geometry.max_span_slabs(), size, first_block_offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(size: u32) -> (u32, u32, u32) {
        let shape = derive(Geometry::default(), size, 0);
        (shape.slabs, shape.blocks, shape.slack)
    }

    #[test]
    fn small_classes_take_one_slab() {
        assert_eq!(shape(8), (1, 4096, 32768)); // a bit for each 16 bytes is all there is
        assert_eq!(shape(24), (1, 2730, 16));
        assert_eq!(shape(8192), (1, 8, 0));
    }

    #[test]
    fn larger_ones_take_the_shortest_good_span() {
        assert_eq!(shape(10_240), (1, 6, 4096));
        assert_eq!(shape(40_960), (2, 3, 8192));
        assert_eq!(shape(65_536), (2, 2, 0));
        assert_eq!(shape(131_072), (4, 2, 0));
    }

    #[test]
    fn the_largest_take_the_least_slack() {
        assert_eq!(shape(262_144), (8, 2, 0));
        assert_eq!(shape(196_608), (6, 2, 0));
        assert_eq!(shape(786_432), (12, 1, 0)); // two do not fit
        assert_eq!(shape(1 << 20), (16, 1, 0));
    }

    #[test]
    fn every_size_up_to_half_a_superslab_gets_a_block() {
        for geometry in [Geometry::default(), Geometry { superslab: 256 << 10, slab: 64 << 10 }] {
            for size in (8..=geometry.superslab / 2).step_by(1016) {
                let shape = derive(geometry, size, 0);
                assert!(shape.blocks >= 1 && shape.slabs <= geometry.max_span_slabs());
                assert_eq!(shape.blocks * size + shape.slack, shape.slabs * geometry.slab);
            }
        }
    }
}
