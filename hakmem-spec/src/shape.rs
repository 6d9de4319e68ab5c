//! How many slabs a class's blocks are cut from.

use crate::model::{Geometry, SlabShape};

/// Fewer blocks than this, and a span is full or empty too often to be worth keeping. The larger the blocks, the fewer:
/// a span with one block left keeps the memory of all others from every other class.
fn enough_blocks(geometry: Geometry, size: u32) -> u32 {
    match geometry.slab / size.max(1) {
        8.. => 8,
        2.. => 4,
        _ => 2,
    }
}
/// One part in this many may be lost at the end of a span: address space, which nobody touches.
const TAIL_PARTS: u32 = 8;

/// The span of `units` slabs, cut in blocks of `size` behind `lead` bytes.
pub(crate) fn of(geometry: Geometry, units: u32, size: u32, lead: u32) -> SlabShape {
    let bytes = units * geometry.slab;
    // The runtime keeps a bit for each 16 bytes of a slab.
    let blocks = bytes.saturating_sub(lead) / size.max(16);
    SlabShape { units, lead, blocks, tail: bytes - (lead + blocks * size).min(bytes) }
}

/// The shape of a class whose spec does not say: the shortest span that holds enough blocks and wastes little; where
/// none does, the one that wastes least, if possible among those with enough blocks.
///
/// The size is at most half a SuperSlab, so that the longest span holds a block.
pub(crate) fn derive(geometry: Geometry, size: u32, lead: u32) -> SlabShape {
    let enough = enough_blocks(geometry, size);
    let shapes = || (1..=geometry.max_units()).map(|units| of(geometry, units, size, lead));
    if let Some(good) =
        shapes().find(|shape| shape.blocks >= enough && shape.tail <= shape.units * geometry.slab / TAIL_PARTS)
    {
        return good;
    }
    let least_waste = |at_least: u32| {
        shapes()
            .filter(|shape| shape.blocks >= at_least)
            // tail/units compared as fractions; `reduce` keeps the earlier, shorter one of two equals.
            .reduce(|best, next| {
                let (a, b) =
                    (u64::from(next.tail) * u64::from(best.units), u64::from(best.tail) * u64::from(next.units));
                if a < b { next } else { best }
            })
    };
    least_waste(enough).or_else(|| least_waste(1)).unwrap_or_else(|| of(geometry, geometry.max_units(), size, lead))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(size: u32) -> (u32, u32, u32) {
        let shape = derive(Geometry::default(), size, 0);
        (shape.units, shape.blocks, shape.tail)
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
    fn the_largest_take_what_wastes_least() {
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
                assert!(shape.blocks >= 1 && shape.units <= geometry.max_units());
                assert_eq!(shape.blocks * size + shape.tail, shape.units * geometry.slab);
            }
        }
    }
}
