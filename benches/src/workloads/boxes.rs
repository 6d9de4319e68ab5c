//! Pairs of an allocation and a free of a constant size, over a working set: from 8 B to 1 MiB.

use std::mem::MaybeUninit;

use hakmem_harness::random::Random;

use super::{Outcome, Scale, Workload, pattern, repeat};

macro_rules! boxes {
    ($($name:literal $function:ident $bytes:literal $pairs:literal $about:literal,)*) => {
        [$(pattern("micro", $name, $about, $function::<{ $bytes / 8 }, $pairs>)),*]
    };
}

/// What is not among the comprehensive patterns: other sizes, and memory that is zero. By bytes and pairs.
pub(super) const MICRO: [Workload; 11] = boxes! {
    "box_8" uninit 8 20_000_000 "256 boxes of 8 B, freed in random order",
    "box_256" uninit 256 20_000_000 "256 boxes of 256 B, freed in random order",
    "box_1k" uninit 1024 20_000_000 "256 boxes of 1 KiB, freed in random order",
    "box_4k" uninit 4096 2_000_000 "256 boxes of 4 KiB, freed in random order",
    "box_32k" uninit 32_768 1_000_000 "256 boxes of 32 KiB, freed in random order",
    "box_256k" uninit 262_144 500_000 "64 boxes of 256 KiB, freed in random order",
    "box_1m" uninit 1_048_576 500_000 "16 boxes of 1 MiB, freed in random order",
    "zeroed_64" zeroed 64 20_000_000 "256 boxes of 64 B of zeros, freed in random order",
    "zeroed_4k" zeroed 4096 2_000_000 "256 boxes of 4 KiB of zeros, freed in random order",
    "zeroed_32k" zeroed 32_768 100_000 "256 boxes of 32 KiB of zeros, freed in random order",
    "zeroed_1m" zeroed 1_048_576 10_000 "16 boxes of 1 MiB of zeros, freed in random order",
};

type Room<const N: usize> = Box<MaybeUninit<[u64; N]>>;

fn uninit<const N: usize, const PAIRS: u64>(scale: Scale) -> Outcome {
    pairs_of(scale, PAIRS, Box::<[u64; N]>::new_uninit)
}

fn zeroed<const N: usize, const PAIRS: u64>(scale: Scale) -> Outcome {
    pairs_of(scale, PAIRS, || {
        let room = Box::<[u64; N]>::new_zeroed();
        let words = room.as_ptr().cast::<u64>();
        // SAFETY: both words lie in the box, and zero is a value of theirs.
        let found = unsafe { words.read() | words.add(N - 1).read() };
        assert!(found == 0, "memory said to be zero holds {found:#x}");
        room
    })
}

/// Makes boxes, writes their first and last words, and frees them in another order each time.
#[inline(always)]
fn pairs_of<const N: usize>(scale: Scale, pairs: u64, make: impl Fn() -> Room<N>) -> Outcome {
    // 16 MiB at most, as in the criterion benchmark `micro`.
    let count = ((16 << 20) / (8 * N)).min(256);
    let mut random = Random::new(0);
    let orders: Vec<Vec<u32>> = (0..8).map(|_| random.order(count)).collect();
    let mut orders = orders.iter().cycle();
    let mut boxes: Vec<Option<Room<N>>> = Vec::with_capacity(count);
    repeat(scale, pairs / count as u64, count as u64, || {
        for tag in 0..count as u64 {
            let mut room = make();
            let words = room.as_mut_ptr().cast::<u64>();
            // SAFETY: both words lie in the box.
            unsafe {
                words.write(tag);
                words.add(N - 1).write(tag);
            }
            boxes.push(Some(room));
        }
        for &place in orders.next().into_iter().flatten() {
            if let Some(room) = boxes[place as usize].take() {
                let words = room.as_ptr().cast::<u64>();
                // SAFETY: both words were written.
                let (first, last) = unsafe { (words.read(), words.add(N - 1).read()) };
                assert!(first == u64::from(place) && last == u64::from(place), "a box was changed while it was in use");
            }
        }
        boxes.clear();
    })
}
