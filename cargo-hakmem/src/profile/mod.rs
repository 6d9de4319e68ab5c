//! A profile: the recorded requests of a program to its allocator. Its format is described in docs/PROFILE.md.

mod parse;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::failure::{Outcome, fail};
use crate::files;

/// One run of a program, or the sum of several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    /// The path of the program.
    pub(crate) program: String,
    /// The number of runs, that is, of processes.
    pub(crate) runs: u64,
    /// Their total time.
    pub(crate) microseconds: u64,
    /// The peak of live bytes, added up over the runs.
    pub(crate) peak: u64,
    /// Live bytes at the end.
    pub(crate) end: u64,
    /// Resident bytes at the end.
    pub(crate) resident: u64,
    /// Threads by slot. A thread that starts after another has ended may reuse its slot.
    pub(crate) threads: Vec<Thread>,
    /// Requests by size and alignment.
    pub(crate) requests: BTreeMap<(u64, u64), Request>,
    /// Live bytes over time, of the run with the highest peak.
    pub(crate) samples: Vec<Sample>,
}

/// The traffic of a thread slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Thread {
    /// Threads that used the slot.
    pub(crate) threads: u64,
    /// Allocations.
    pub(crate) allocated: u64,
    /// Frees.
    pub(crate) freed: u64,
    /// Frees of blocks that another thread allocated.
    pub(crate) remote: u64,
    /// Bytes allocated.
    pub(crate) bytes: u64,
}

/// Requests of one size and alignment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// The class of the recorded spec that served it; 0: a large block.
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
    /// Blocks live at the end.
    pub(crate) live: u64,
    /// The peak of live blocks of this request.
    pub(crate) peak: u64,
    /// Blocks live at the peak of the program.
    pub(crate) at_peak: u64,
    /// Frees by the base-2 logarithm of the lifetime in nanoseconds.
    pub(crate) lifetimes: BTreeMap<u32, u64>,
}

/// Live and resident bytes at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Time since the start.
    pub(crate) microseconds: u64,
    /// Live bytes.
    pub(crate) live: u64,
    /// Resident bytes of the recorded program.
    pub(crate) resident: u64,
}

impl Profile {
    /// Reads one file.
    pub(crate) fn read(path: &Path) -> Outcome<Self> {
        // Bytes that are not UTF-8 are replaced, so that the message is that the file is not a profile.
        let bytes = std::fs::read(path)
            .or_else(|error| fail(format!("cannot read the profile {}: {error}", path.display())))?;
        Self::parse(&String::from_utf8_lossy(&bytes)).or_else(|reason| fail(format!("{}: {reason}", path.display())))
    }

    /// Reads the text of one; the error is a message of one line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        parse::profile(text)
    }

    /// Reads several files and adds them up.
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

    /// Adds another profile. The samples are those of the run with the higher peak. The order does not matter.
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

    /// Allocations, including those that a reallocation makes.
    pub(crate) fn allocations(&self) -> u64 {
        self.requests.values().map(Request::arrivals).sum()
    }

    /// Bytes live at the peak, from the requests.
    pub(crate) fn bytes_at_peak(&self) -> u64 {
        self.requests.iter().map(|((size, _), request)| size * request.at_peak).sum()
    }

    /// An estimated fraction: of the blocks that sizes have only at their own peaks, how many are live at the same
    /// time. Sizes that peak at different times never exceed the peak of the program together.
    pub(crate) fn idle_part(&self) -> f64 {
        let idle: u64 = self.requests.iter().map(|((size, _), request)| size * request.idle()).sum();
        (self.bytes_at_peak() as f64 / idle.max(1) as f64).min(1.0) / 2.0
    }

    /// The number of threads with at least a hundredth of all traffic: each of them keeps memory.
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
    /// Allocations, including blocks that a reallocation moves to this size.
    pub(crate) fn arrivals(&self) -> u64 {
        self.allocated + self.grown_to
    }

    /// Blocks at its own peak beyond those at the peak of the program.
    pub(crate) fn idle(&self) -> u64 {
        self.peak.saturating_sub(self.at_peak)
    }

    fn merge(&mut self, other: &Self) {
        // If the specs of the runs differ, the class of the later one.
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
    fn merging_adds_in_any_order() {
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
    fn other_and_truncated_files_are_rejected() {
        let text = sample().to_string();
        assert!(parse::profile("").unwrap_err().contains("not a hakmem profile"));
        assert!(parse::profile("[[class]]\nsize = 8\n").unwrap_err().contains("not a hakmem profile"));
        assert!(parse::profile("hakmem-profile 1\nend 1\n").unwrap_err().contains("version"));
        for cut in 1..text.len() {
            assert!(parse::profile(&text[..cut]).is_err(), "{cut} bytes are accepted");
        }
        let lines: Vec<&str> = text.lines().collect();
        let without = [&lines[..5], &lines[6..]].concat().join("\n") + "\n";
        assert!(parse::profile(&without).unwrap_err().contains("truncated"));
        for (right, wrong) in [(" freed=19", " freed=18446744073709551615"), ("peak=480", "peak=9999999999999999999")] {
            let reason = parse::profile(&text.replace(right, wrong)).unwrap_err();
            assert_eq!(reason, "the profile counts more bytes than any program has");
        }
        assert!(parse::profile(&text.replace("20:7", "64:7")).unwrap_err().contains("longer than any lifetime"));
        let wrong = text.replace("freed=19", "freed=many");
        assert!(parse::profile(&wrong).unwrap_err().starts_with("line 6: "));
    }
}
