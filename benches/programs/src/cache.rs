//! A cache between threads: lookups by skewed keys, misses computed, and sizes that shift from phase to phase.

use crate::checksum::Checksum;
use crate::input::Rng;
use moka::sync::Cache;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::thread;

const THREADS: u64 = 3;
/// Lookups of one thread in one phase.
const LOOKUPS: usize = 5_000;
const KEYS: usize = 40_000;
/// Bytes of values that the cache may hold.
const CAPACITY: u64 = 32 << 20;

/// Largest value of each phase.
const SIZES: [usize; 6] = [128, 512, 2_048, 8_192, 1_024, 256];

type Key = (u32, String);
type Shared = Cache<Key, Arc<[u8]>, BuildHasherDefault<DefaultHasher>>;

/// A key always has the same value, so that a hit and a miss sum to the same.
fn compute(key: &Key) -> Arc<[u8]> {
    let mut rng = Rng::new(u64::from(key.0) ^ key.1.len() as u64);
    let largest = SIZES[key.0 as usize % SIZES.len()];
    let mut value = vec![0; largest / 4 + rng.below(largest)];
    for part in value.chunks_mut(64) {
        part[0] = rng.next() as u8;
    }
    value.into()
}

fn work(cache: &Shared, phase: u32, thread: u64) -> u64 {
    let mut rng = Rng::new(u64::from(phase) * THREADS + thread);
    let mut sum = Checksum::default();
    for _ in 0..LOOKUPS {
        let number = rng.skewed(KEYS);
        // Some of the phase before are still asked for.
        let key = (phase.saturating_sub(u32::from(rng.below(5) == 0)), format!("object/{number}/v{}", number % 7));
        let value = cache.get(&key).unwrap_or_else(|| {
            let value = compute(&key);
            cache.insert(key.clone(), Arc::clone(&value));
            value
        });
        if rng.below(50) == 0 {
            cache.invalidate(&key);
        }
        sum.count(value.len());
        sum.add(u64::from(value[0]));
    }
    sum.value()
}

pub(crate) fn run(scale: u32) -> u64 {
    let cache: Shared = Cache::builder()
        .max_capacity(CAPACITY)
        .weigher(|key: &Key, value: &Arc<[u8]>| u32::try_from(key.1.len() + value.len()).unwrap_or(u32::MAX))
        .build_with_hasher(BuildHasherDefault::default());
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let cache = &cache;
                scope.spawn(move || (0..scale).fold(0_u64, |sum, phase| sum.wrapping_add(work(cache, phase, thread))))
            })
            .collect();
        threads.into_iter().fold(0_u64, |sum, thread| sum.wrapping_add(thread.join().expect("no thread panics")))
    })
}

#[cfg(test)]
#[test]
fn checksum() {
    assert_eq!(run(1), 0x8c12_aa52_46f0_c1bd);
}
