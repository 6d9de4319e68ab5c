//! An editor's state in persistent collections: every step makes a new version, old ones stay for undo.

use crate::checksum::{self, Checksum};
use crate::input::{self, Rng};
use rpds::{HashTrieMapSync, QueueSync, RedBlackTreeMapSync, VectorSync};
use std::collections::VecDeque;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

/// Steps of one round.
const STEPS: usize = 2_000;
/// Versions that undo can reach.
const VERSIONS: usize = 1_000;
/// Distinct keys.
const KEYS: usize = 20_000;

type Map = HashTrieMapSync<u64, Arc<str>, BuildHasherDefault<DefaultHasher>>;

#[derive(Clone)]
struct State {
    names: Map,
    ranks: RedBlackTreeMapSync<(u32, u64), String>,
    lines: VectorSync<Arc<str>>,
    log: QueueSync<u64>,
}

impl State {
    fn step(&self, rng: &mut Rng, words: &[&str]) -> Self {
        let key = rng.skewed(KEYS) as u64;
        let text: Arc<str> = rng.sentence(words, 3).into();
        let rank = rng.below(1000) as u32;
        let mut next = self.clone();
        next.names = next.names.insert(key, Arc::clone(&text));
        next.ranks = next.ranks.insert((rank, key), text.to_string());
        next.lines = if next.lines.len() < KEYS {
            next.lines.push_back(text)
        } else {
            next.lines.set(rng.below(KEYS), text).expect("within the length")
        };
        next.log = next.log.enqueue(key);
        if rng.below(3) == 0 {
            next.names = next.names.remove(&(rng.skewed(KEYS) as u64));
            let first = next.ranks.range((rng.below(1000) as u32, 0)..).next().map(|(rank, _)| *rank);
            if let Some(first) = first {
                next.ranks = next.ranks.remove(&first);
            }
            next.log = next.log.dequeue().unwrap_or_default();
        }
        next
    }

    fn sum(&self) -> u64 {
        let mut sum = Checksum::default();
        // The map's order is the hasher's, which std may change: commutative.
        sum.add(self.names.iter().fold(0, |all, (key, text)| all.wrapping_add(key.wrapping_mul(checksum::of(text)))));
        for ((rank, key), text) in &self.ranks {
            sum.add(u64::from(*rank) ^ key);
            sum.text(text);
        }
        self.lines.iter().for_each(|line| sum.text(line));
        self.log.iter().for_each(|&key| sum.add(key));
        sum.value()
    }
}

pub(crate) fn run(scale: u32) -> u64 {
    let words = input::words();
    let mut rng = Rng::new(4);
    let mut sum = Checksum::default();
    let mut versions = VecDeque::from([State {
        names: Map::new_with_hasher_and_ptr_kind(BuildHasherDefault::default()),
        ranks: RedBlackTreeMapSync::new_sync(),
        lines: VectorSync::new_sync(),
        log: QueueSync::new_sync(),
    }]);
    for _ in 0..scale {
        for _ in 0..STEPS {
            let next = versions[versions.len() - 1].step(&mut rng, &words);
            versions.push_back(next);
            if versions.len() > VERSIONS {
                versions.pop_front();
            }
        }
        // Undone to somewhere, as editors are.
        let reach = 1 + rng.skewed(versions.len());
        versions.truncate(reach);
        let (oldest, newest) = (&versions[0], &versions[versions.len() - 1]);
        let changed = newest.names.iter().filter(|(key, text)| oldest.names.get(key) != Some(text)).count();
        sum.count(changed);
        sum.count(newest.ranks.size());
    }
    sum.add(versions[versions.len() - 1].sum());
    sum.value()
}

#[cfg(test)]
#[test]
fn checksum() {
    assert_eq!(run(1), 0x3ea2_1ba1_5456_21a9);
}
