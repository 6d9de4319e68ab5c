//! A profile: what a recorded program asked of its allocator. Its text is described in docs/PROFILE.md.

mod parse;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::failure::{Outcome, fail};
use crate::files;

/// One run of a program, or several together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    /// The program's file.
    pub(crate) program: String,
    /// How many runs, or processes.
    pub(crate) runs: u64,
    /// How long they took, all together.
    pub(crate) microseconds: u64,
    /// The most live bytes, added up over the runs.
    pub(crate) peak: u64,
    /// Live bytes at the end.
    pub(crate) end: u64,
    /// Resident bytes at the end.
    pub(crate) resident: u64,
    /// Threads by their place: a thread that began when another had ended may have taken its.
    pub(crate) threads: Vec<Thread>,
    /// What was asked for, by size and alignment.
    pub(crate) requests: BTreeMap<(u64, u64), Request>,
    /// Live bytes over time, of the run with the most of them.
    pub(crate) samples: Vec<Sample>,
}

/// The traffic of a place for threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Thread {
    /// Threads that were there.
    pub(crate) threads: u64,
    /// Allocations.
    pub(crate) allocated: u64,
    /// Frees.
    pub(crate) freed: u64,
    /// Frees of what another thread had allocated.
    pub(crate) remote: u64,
    /// Bytes allocated.
    pub(crate) bytes: u64,
}

/// Requests of one size and alignment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// The block that would have served it: the class of the spec in force, 0 for a large block.
    pub(crate) block: u64,
    /// Allocations.
    pub(crate) allocated: u64,
    /// Frees.
    pub(crate) freed: u64,
    /// Frees by another thread than the one that allocated.
    pub(crate) remote: u64,
    /// Reallocations to another size.
    pub(crate) grown_from: u64,
    /// Reallocations from another size.
    pub(crate) grown_to: u64,
    /// Blocks alive at the end.
    pub(crate) live: u64,
    /// The most alive at a time.
    pub(crate) peak: u64,
    /// Those alive when all live bytes together were most.
    pub(crate) at_peak: u64,
    /// Frees by the logarithm of the lifetime in nanoseconds.
    pub(crate) lifetimes: BTreeMap<u32, u64>,
}

/// A moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Since the beginning.
    pub(crate) microseconds: u64,
    /// Live bytes.
    pub(crate) live: u64,
    /// Resident bytes of the recorded program.
    pub(crate) resident: u64,
}

impl Profile {
    /// Reads one file.
    pub(crate) fn read(path: &Path) -> Outcome<Self> {
        // What is no text is no profile either, which is the better message.
        let bytes = std::fs::read(path)
            .or_else(|error| fail(format!("cannot read the profile {}: {error}", path.display())))?;
        parse::profile(&String::from_utf8_lossy(&bytes)).or_else(|reason| fail(format!("{}: {reason}", path.display())))
    }

    /// Reads several and merges them.
    pub(crate) fn read_all(paths: &[PathBuf]) -> Outcome<Self> {
        let mut all = Self::default();
        for path in paths {
            all.merge(&Self::read(path)?);
        }
        Ok(all)
    }

    /// Writes it to a file.
    pub(crate) fn write(&self, path: &Path) -> Outcome<()> {
        files::write("the profile", path, &self.to_string())
    }

    /// Adds another profile: everything is a sum, so the order does not matter; but samples are those of the larger peak.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.runs == 0 || other.peak > self.peak {
            self.samples.clone_from(&other.samples);
        }
        if self.program.is_empty() {
            self.program.clone_from(&other.program);
        }
        self.runs += other.runs;
        self.microseconds += other.microseconds;
        self.peak += other.peak;
        self.end += other.end;
        self.resident += other.resident;
        if self.threads.len() < other.threads.len() {
            self.threads.resize(other.threads.len(), Thread::default());
        }
        for (mine, theirs) in self.threads.iter_mut().zip(&other.threads) {
            mine.merge(theirs);
        }
        for (key, theirs) in &other.requests {
            self.requests.entry(*key).or_default().merge(theirs);
        }
    }

    /// Allocations, with those that a reallocation makes.
    pub(crate) fn allocations(&self) -> u64 {
        self.requests.values().map(Request::arrivals).sum()
    }

    /// Bytes that were alive at the peak, as far as requests tell.
    pub(crate) fn bytes_at_peak(&self) -> u64 {
        self.requests.iter().map(|((size, _), request)| size * request.at_peak).sum()
    }

    /// The part of the blocks that a size has at its own peak, and not at that of all, which may be alive together. Sizes
    /// that take turns have their peaks one after the other, and all of them never exceed the peak of all.
    pub(crate) fn idle_part(&self) -> f64 {
        let idle: u64 = self.requests.iter().map(|((size, _), request)| size * request.idle()).sum();
        (self.bytes_at_peak() as f64 / idle.max(1) as f64).min(1.0) / 2.0
    }

    /// Threads that allocate or free a hundredth of what all do: for how many of them memory is kept.
    pub(crate) fn busy_threads(&self) -> u64 {
        let traffic = |thread: &Thread| thread.allocated + thread.freed;
        let all: u64 = self.threads.iter().map(traffic).sum();
        (self.threads.iter().filter(|thread| traffic(thread) * 100 >= all.max(1)).count() as u64).max(1)
    }
}

impl Thread {
    fn merge(&mut self, other: &Self) {
        self.threads += other.threads;
        self.allocated += other.allocated;
        self.freed += other.freed;
        self.remote += other.remote;
        self.bytes += other.bytes;
    }
}

impl Request {
    /// Blocks that became one of this size.
    pub(crate) fn arrivals(&self) -> u64 {
        self.allocated + self.grown_to
    }

    /// Blocks at its own peak beyond those at the peak of all.
    pub(crate) fn idle(&self) -> u64 {
        self.peak.saturating_sub(self.at_peak)
    }

    fn merge(&mut self, other: &Self) {
        // Runs under two specs: the later one's blocks.
        self.block = other.block;
        self.allocated += other.allocated;
        self.freed += other.freed;
        self.remote += other.remote;
        self.grown_from += other.grown_from;
        self.grown_to += other.grown_to;
        self.live += other.live;
        self.peak += other.peak;
        self.at_peak += other.at_peak;
        for (bucket, count) in &other.lifetimes {
            *self.lifetimes.entry(*bucket).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Profile {
        let mut profile = Profile { program: "a program".into(), runs: 1, peak: 480, end: 24, ..Profile::default() };
        (profile.microseconds, profile.resident) = (7, 4096);
        profile.threads = vec![Thread { threads: 1, allocated: 20, freed: 19, remote: 3, bytes: 480 }];
        let request = Request {
            block: 24,
            allocated: 20,
            freed: 19,
            remote: 3,
            live: 1,
            peak: 20,
            at_peak: 20,
            ..Request::default()
        };
        profile.requests.insert((24, 8), Request { lifetimes: BTreeMap::from([(8, 12), (20, 7)]), ..request });
        profile.samples = vec![Sample { microseconds: 3, live: 480, resident: 8192 }];
        profile
    }

    #[test]
    fn reads_what_it_writes() {
        let profile = sample();
        assert_eq!(parse::profile(&profile.to_string()), Ok(profile));
    }

    #[test]
    fn merging_adds_and_does_not_depend_on_the_order() {
        let (one, mut other) = (sample(), sample());
        other.peak = 1000;
        other.samples[0].live = 1000;
        other.requests.insert((100, 16), Request { allocated: 1, ..Request::default() });
        let merge = |profiles: [&Profile; 2]| {
            let mut all = Profile::default();
            profiles.into_iter().for_each(|profile| all.merge(profile));
            all
        };
        let all = merge([&one, &other]);
        assert_eq!(all, merge([&other, &one]));
        assert_eq!((all.runs, all.peak, all.samples[0].live), (2, 1480, 1000));
        assert_eq!(all.requests[&(24, 8)].allocated, 40);
        assert_eq!(all.requests[&(24, 8)].lifetimes[&20], 14);
        assert_eq!(all.requests[&(100, 16)].allocated, 1);
    }

    #[test]
    fn what_is_no_profile_or_no_whole_one_is_refused() {
        let text = sample().to_string();
        assert!(parse::profile("").unwrap_err().contains("no hakmem profile"));
        assert!(parse::profile("[[class]]\nsize = 8\n").unwrap_err().contains("no hakmem profile"));
        assert!(parse::profile("hakmem-profile 1\nend 1\n").unwrap_err().contains("version"));
        for cut in 1..text.len() {
            assert!(parse::profile(&text[..cut]).is_err(), "{cut} bytes are accepted");
        }
        let lines: Vec<&str> = text.lines().collect();
        let without = [&lines[..5], &lines[6..]].concat().join("\n") + "\n";
        assert!(parse::profile(&without).unwrap_err().contains("truncated"));
        let wrong = text.replace("freed=19", "freed=many");
        assert!(parse::profile(&wrong).unwrap_err().starts_with("line 6: "));
    }
}
