//! Large blocks: what a buffer costs that is used once, where blocks begin, and what happens as they grow.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use hakmem_harness::random::Random;

use super::blocks::{Aligned, Block, PAGE, Written};
use super::{Outcome, Scale, Workload, growth, lists, outcome, pattern, repeat};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

macro_rules! large {
    ($($name:literal $about:literal $run:expr,)*) => {
        [$(pattern("large", $name, $about, $run)),*]
    };
}

/// Patterns that are in no mean but that of their group.
pub(super) const LARGE: [Workload; 27] = large! {
    "large_zeroed_300k" "300 KiB of zeros, each page written, and freed" |scale| zeroed::<1>(scale, 300 * KIB),
    "large_zeroed_1m" "1 MiB of zeros, each page written, and freed" |scale| zeroed::<1>(scale, MIB),
    "large_zeroed_4m" "4 MiB of zeros, each page written, and freed" |scale| zeroed::<1>(scale, 4 * MIB),
    "large_zeroed_16m" "16 MiB of zeros, each page written, and freed" |scale| zeroed::<1>(scale, 16 * MIB),
    "large_zeroed_300k_4t" "300 KiB of zeros, in 4 threads" |scale| zeroed::<4>(scale, 300 * KIB),
    "large_zeroed_1m_4t" "1 MiB of zeros, in 4 threads" |scale| zeroed::<4>(scale, MIB),
    "large_zeroed_4m_4t" "4 MiB of zeros, in 4 threads" |scale| zeroed::<4>(scale, 4 * MIB),
    "large_zeroed_16m_4t" "16 MiB of zeros, in 4 threads" |scale| zeroed::<4>(scale, 16 * MIB),
    "large_lengths_300k_1200k" "8 blocks of 300–1,200 KiB, each page written, the oldest replaced"
        |scale| lengths::<1>(scale, 300 * KIB, 1200 * KIB),
    "large_lengths_1m_8m" "8 blocks of 1–8 MiB, each page written, the oldest replaced"
        |scale| lengths::<1>(scale, MIB, 8 * MIB),
    "large_lengths_300k_1200k_4t" "8 blocks of 300–1,200 KiB in each of 4 threads"
        |scale| lengths::<4>(scale, 300 * KIB, 1200 * KIB),
    "large_lengths_1m_8m_4t" "8 blocks of 1–8 MiB in each of 4 threads" |scale| lengths::<4>(scale, MIB, 8 * MIB),
    "large_batch_100x300k" "100 blocks of 300 KiB, each page written, all freed"
        |scale| batch(scale, 100, 300 * KIB),
    "large_batch_30x5m" "30 blocks of 5 MiB, each page written, all freed" |scale| batch(scale, 30, 5 * MIB),
    "large_walk_48x512k" "48 vectors of 512 KiB read in step" |scale| walk(scale, 48, 512 * KIB),
    "large_walk_200x320k" "200 vectors of 320 KiB read in step" |scale| walk(scale, 200, 320 * KIB),
    "large_walk_200x32k" "200 vectors of 32 KiB read in step" |scale| walk(scale, 200, 32 * KIB),
    "large_matrix_4000" "256 rows of 4,000 B read by columns" |scale| walk(scale, 256, 4_000),
    "large_matrix_16000" "256 rows of 16,000 B read by columns" |scale| walk(scale, 256, 16_000),
    "large_matrix_32000" "256 rows of 32,000 B read by columns" |scale| walk(scale, 256, 32_000),
    "large_matrix_65536" "256 rows of 65,536 B read by columns" |scale| walk(scale, 256, 65_536),
    "large_grow_16m" "a block doubled from 4 KiB to 16 MiB, each page written" |scale| grow(scale, 16 * MIB),
    "large_grow_256m" "a block doubled from 4 KiB to 256 MiB, each page written" |scale| grow(scale, 256 * MIB),
    "large_sparse" "an untouched block grown by 64 MiB to 640 MiB, another allocated each time" sparse,
    "large_refused" "64 TiB asked for, more than there is" refused,
    "large_aligned_64_8k" "10,000 blocks of 64 B aligned to 8 KiB, freed in random order" aligned::<64, { 8 * KIB }>,
    "large_aligned_16k_16k" "10,000 blocks of 16 KiB aligned to 16 KiB, freed in random order"
        aligned::<{ 16 * KIB }, { 16 * KIB }>,
};

/// Bytes of all buffers of a workload together, where their pages are what takes the time.
const TOTAL: usize = 2048 * MIB;

/// So many buffers of `bytes` that they are [`TOTAL`].
fn buffers(bytes: usize) -> u64 {
    (TOTAL / bytes) as u64
}

/// `work` done `steps` times, shared among `THREADS` threads, of which this is one; before that a sixteenth of one's
/// share, which is not timed. It is told the thread's number and share.
fn shared<const THREADS: u64>(scale: Scale, steps: u64, work: impl Fn(u64, u64) + Sync) -> Outcome {
    let (each, work) = (scale.of(steps).div_ceil(THREADS), &work);
    work(0, each.div_ceil(16));
    let started = Instant::now();
    thread::scope(|scope| {
        for thread in 1..THREADS {
            scope.spawn(move || work(thread, each));
        }
        work(0, each);
    });
    outcome(each * THREADS, started.elapsed())
}

/// Buffers of zeros, one after the other.
fn zeroed<const THREADS: u64>(scale: Scale, bytes: usize) -> Outcome {
    const LINE: usize = 64;
    shared::<THREADS>(scale, buffers(bytes), |_, count| {
        for turn in 0..count as usize {
            let mut buffer = black_box(vec![0_u8; bytes]);
            // What the buffer before has written is in the same cache line. It is read after the write: the system
            // maps a page twice that is read first.
            let (here, before) = ((turn + 1) % LINE, turn % LINE);
            let mut found = 0;
            for page in buffer.chunks_mut(PAGE) {
                page[here] = 1;
                found |= page[before];
            }
            assert!(found == 0, "memory said to be zero holds {found:#x}");
            black_box(buffer);
        }
    })
}

/// Buffers that differ in length, a few alive at a time.
fn lengths<const THREADS: u64>(scale: Scale, from: usize, to: usize) -> Outcome {
    const ALIVE: usize = 8;
    shared::<THREADS>(scale, buffers((from + to) / 2), |seed, count| {
        let mut random = Random::new(seed);
        let mut blocks = [const { None::<Block> }; ALIVE];
        for place in (0..ALIVE).cycle().take(count as usize) {
            if let Some(oldest) = blocks[place].take() {
                oldest.free(place as u64);
            }
            blocks[place] = Some(Block::new(random.within(from, to), place as u64));
        }
        for (block, tag) in blocks.into_iter().zip(0..) {
            if let Some(block) = block {
                block.free(tag);
            }
        }
    })
}

/// A frame's buffers, all freed at its end, first in first out.
fn batch(scale: Scale, count: usize, bytes: usize) -> Outcome {
    let mut blocks = Vec::with_capacity(count);
    repeat(scale, buffers(count * bytes), count as u64, || {
        blocks.extend((0..count as u64).map(|tag| Block::new(bytes, tag)));
        for (block, tag) in blocks.drain(..).zip(0..) {
            block.free(tag);
        }
    })
}

/// Vectors read in step: the first number of each, the second of each, and so on. If they begin at the same place in
/// their pages, they compete for the same few places in the cache. An operation is a number that is read; the vectors
/// are allocated before.
fn walk(scale: Scale, count: usize, bytes: usize) -> Outcome {
    const READS: usize = 64_000_000;
    let length = bytes / size_of::<u64>();
    // From 1: of zeros the system would map one page only.
    let vectors: Vec<Vec<u64>> = (1..=count as u64).map(|number| vec![number; length]).collect();
    let expected = (length * count * (count + 1) / 2) as u64;
    repeat(scale, (READS / (count * length)) as u64, (count * length) as u64, || {
        let mut sum = 0;
        for at in 0..length {
            for vector in &vectors {
                sum += vector[at];
            }
        }
        assert!(sum == expected, "a vector was changed while it was in use");
    })
}

/// A block that doubles to `to` bytes, by `realloc`, as `Vec` does it.
fn grow(scale: Scale, to: usize) -> Outcome {
    growth::doubled(scale, buffers(to), (4 * KIB, to), Written::Pages)
}

/// A large block that is hardly touched grows, and another is allocated that may be in its way. An operation is a call
/// of `realloc`; few of them, because an allocator that copies takes seconds.
fn sparse(scale: Scale) -> Outcome {
    const STEP: usize = 64 * MIB;
    const STEPS: u64 = 9;
    repeat(scale, 3, STEPS, || {
        let mut block = Block::with(STEP, 0, Written::Last);
        let mut others = [const { None }; STEPS as usize];
        for (other, tag) in others.iter_mut().zip(1..) {
            let size = block.size() + STEP;
            block = block.grow(size, 0, Written::Last);
            *other = Some(Block::with(MIB, tag, Written::Last));
        }
        block.free(0);
        for (other, tag) in others.into_iter().flatten().zip(1..) {
            other.free(tag);
        }
    })
}

/// More than there is. Where the system or the allocator grants it all the same, it is freed.
fn refused(scale: Scale) -> Outcome {
    repeat(scale, 100_000, 1, || {
        let mut bytes: Vec<u8> = Vec::new();
        let _ = black_box(bytes.try_reserve_exact(black_box(1 << 46)));
        black_box(bytes);
    })
}

/// Blocks of which the first word is written, freed in random order.
fn aligned<const SIZE: usize, const ALIGN: usize>(scale: Scale) -> Outcome {
    lists::shuffled(scale, 10_000, 20, Aligned::<SIZE, ALIGN>::new, Aligned::free)
}
