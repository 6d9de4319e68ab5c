//! The results, printed on stdout at the end.
//!
//! Scripts and tests may rely on two properties. Lines read `name: value`, indented within a list, and a numeric value
//! begins with the number. The lines from `files` down to the look-ups depend only on the content of the folder, not on
//! the number of workers or the allocator.

use std::fs;
use std::hint::black_box;
use std::io::{self, Write};
use std::time::Duration;

use crate::Heap;
use crate::index::Index;
use crate::walk::Reader;

/// How many of the most frequent words are shown.
const TOP_WORDS: usize = 10;

/// Pairs of words to look up: plausible queries on a collection of sources.
const LOOK_UPS: [(&str, &str); 4] =
    [("unsafe", "mmap"), ("mutex", "deadlock"), ("todo", "panic"), ("allocator", "fragmentation")];

/// What the index cost in time and memory.
#[derive(Debug)]
pub(crate) struct Usage {
    /// Bytes of text indexed.
    pub(crate) bytes: u64,
    /// From the first file read to the finished index.
    pub(crate) wall_time: Duration,
    /// The time to drop the index.
    pub(crate) drop_time: Duration,
    /// The process's largest resident set.
    pub(crate) peak: Option<Kibibytes>,
    /// Its resident set with the finished index in memory.
    pub(crate) with_index: Option<Kibibytes>,
    /// Its resident set once the index was dropped.
    pub(crate) after_drop: Option<Kibibytes>,
}

/// The unit in which Linux reports memory.
pub(crate) type Kibibytes = u64;

/// Prints which allocator serves this program: asks hakmem whether a fresh `Box` is its own.
pub(crate) fn allocator(out: &mut impl Write) -> io::Result<()> {
    // Without `black_box`, the optimiser may remove the unused allocation.
    let fresh = black_box(Box::new(0_u64));
    let ours = Heap::owns((&raw const *fresh).cast());
    let name = if ours { "hakmem" } else { "not hakmem" };
    writeln!(out, "allocator: {name} (proved: a fresh Box is ours: {ours})")
}

/// Prints what was read and what was skipped.
pub(crate) fn input(out: &mut impl Write, reader: &Reader, threads: usize) -> io::Result<()> {
    let skipped = reader.skipped();
    writeln!(out, "folder: {}", reader.root().display())?;
    writeln!(out, "workers: {threads}")?;
    writeln!(out, "files: {}", reader.files())?;
    writeln!(out, "bytes: {} ({:.1} MB)", reader.bytes(), megabytes(reader.bytes()))?;
    writeln!(
        out,
        "skipped: {} binary, {} huge, {} unreadable, {} links or special",
        skipped.binary, skipped.huge, skipped.unreadable, skipped.special
    )
}

/// Prints the contents of the index in numbers.
pub(crate) fn index(out: &mut impl Write, index: &Index) -> io::Result<()> {
    writeln!(out, "words: {}", index.occurrences())?;
    writeln!(out, "distinct words: {}", index.distinct_words())?;
    writeln!(out, "postings: {}", index.postings())?;
    writeln!(out, "fingerprint: {:016x}", index.fingerprint())?;
    writeln!(out, "longest word: {}", index.longest_word().as_deref().unwrap_or("none"))?;
    writeln!(out, "most frequent words:")?;
    for (word, count, files) in index.most_frequent(TOP_WORDS) {
        writeln!(out, "  {word}: {count} times in {files} files")?;
    }
    writeln!(out, "files with both:")?;
    LOOK_UPS.iter().try_for_each(|(one, other)| look_up(out, index, one, other))
}

/// Prints one look-up, with the first file found as an example.
fn look_up(out: &mut impl Write, index: &Index, one: &str, other: &str) -> io::Result<()> {
    let files = index.files_with_both(one, other);
    write!(out, "  {one} + {other}: {}", files.len())?;
    if let Some(first) = files.first() {
        write!(out, ", such as {}", first.display())?;
    }
    writeln!(out)
}

/// Prints time and memory.
pub(crate) fn usage(out: &mut impl Write, usage: &Usage) -> io::Result<()> {
    let seconds = usage.wall_time.as_secs_f64();
    writeln!(out, "wall time: {seconds:.3} s")?;
    writeln!(out, "throughput: {:.1} MB/s", megabytes(usage.bytes) / seconds)?;
    writeln!(out, "drop time: {:.3} s", usage.drop_time.as_secs_f64())?;
    writeln!(out, "peak RSS: {}", mebibytes(usage.peak))?;
    writeln!(out, "RSS with the index: {}", mebibytes(usage.with_index))?;
    writeln!(out, "RSS after its drop: {}", mebibytes(usage.after_drop))
}

/// Prints the classes and the statistics of the allocator.
pub(crate) fn heap(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n{}", Heap::classes())?;
    writeln!(out, "\n{}", Heap::stats())
}

/// The peak resident memory of this process.
pub(crate) fn peak_rss() -> Option<Kibibytes> {
    own_status("VmHWM:")
}

/// The current resident memory of this process.
pub(crate) fn rss() -> Option<Kibibytes> {
    own_status("VmRSS:")
}

/// A field of `/proc/self/status`, if it exists.
fn own_status(field: &str) -> Option<Kibibytes> {
    status_field(&fs::read_to_string("/proc/self/status").ok()?, field)
}

/// Finds `field` among lines such as `VmRSS:      1234 kB`.
fn status_field(status: &str, field: &str) -> Option<Kibibytes> {
    let value = status.lines().find_map(|line| line.strip_prefix(field))?;
    value.trim().strip_suffix(" kB")?.parse().ok()
}

fn mebibytes(size: Option<Kibibytes>) -> String {
    size.map_or_else(|| "unknown".to_owned(), |kibibytes| format!("{:.1} MiB", kibibytes as f64 / 1024.0))
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_fields_are_found() {
        let status = "Name:\tquickstart\nVmHWM:\t   20480 kB\nVmRSS:\t    1536 kB\nThreads:\t4\n";
        assert_eq!(status_field(status, "VmHWM:"), Some(20480));
        assert_eq!(status_field(status, "VmRSS:"), Some(1536));
        assert_eq!(status_field(status, "Threads:"), None);
        assert_eq!(status_field(status, "VmSwap:"), None);
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!(mebibytes(Some(1536)), "1.5 MiB");
        assert_eq!(mebibytes(None), "unknown");
    }
}
