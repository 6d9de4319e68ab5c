//! Reallocation.

use super::blocks::{Block, Written};
use super::{Outcome, Scale, repeat};

/// A block doubled from 16 B to 64 MiB.
pub(super) fn doubling(scale: Scale, written: Written) -> Outcome {
    // Where nothing is copied nor written, there is hardly anything to do.
    let repeats = if written == Written::Last { 60 } else { 10 };
    doubled(scale, repeats, (16, 64 << 20), written)
}

/// A block doubled from one size to another. An operation is a call of `realloc`.
#[inline(always)]
pub(super) fn doubled(scale: Scale, repeats: u64, (from, to): (usize, usize), written: Written) -> Outcome {
    repeat(scale, repeats, u64::from((to / from).ilog2()), || {
        let mut block = Block::new(from, 1);
        while block.size() < to {
            let size = 2 * block.size();
            block = block.grow(size, 1, written);
        }
        block.free(1);
    })
}

/// Vectors that grow beside one another, from 4 numbers to 512. An operation is a call of `realloc`, of which each
/// vector makes seven.
pub(super) fn vectors(scale: Scale) -> Outcome {
    const VECTORS: usize = 100;
    const LENGTH: u64 = 512;
    repeat(scale, 4_000, VECTORS as u64 * 7, || {
        let mut vectors: [Vec<u64>; VECTORS] = [const { Vec::new() }; VECTORS];
        // Four at a time: pushing is not what is measured.
        for number in (0..LENGTH).step_by(4) {
            for vector in &mut vectors {
                vector.extend_from_slice(&[number; 4]);
            }
        }
        for vector in &vectors {
            assert!(vector.len() as u64 == LENGTH && vector[0] == 0 && vector[511] == LENGTH - 4);
        }
    })
}
