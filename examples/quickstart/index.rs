//! The inverted index: from each word to the files that contain it.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::progress::Progress;
use crate::walk::Document;

/// Shorter words are not worth indexing, and longer ones are usually encoded data.
const WORD_CHARS: RangeInclusive<usize> = 2..=64;

/// How many documents may wait for a worker: enough to keep all workers busy without filling the memory.
const QUEUED_DOCUMENTS: usize = 32;

/// One file that contains a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Posting {
    /// The file's number, an index into [`Index::files`].
    file: u32,
    /// How often the file contains the word.
    count: u32,
}

/// What one worker has indexed.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    files: Vec<(u32, PathBuf)>,
    words: HashMap<String, Vec<Posting>>,
}

impl Shard {
    /// Indexes one file. Files are added one at a time, so only a word's last posting can be for this file.
    fn add(&mut self, document: Document) {
        let file = document.file;
        for word in words(&document.text) {
            let postings = self.words.entry(word).or_default();
            match postings.last_mut() {
                Some(last) if last.file == file => last.count += 1,
                _ => postings.push(Posting { file, count: 1 }),
            }
        }
        self.files.push((file, document.path));
    }
}

/// The words of `text`: runs of letters, digits and underscores, in lower case.
///
/// It allocates a `String` for every occurrence, as straightforward code does. A reused buffer would be faster, but
/// this example shows the allocations of a typical program, not how to avoid them.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|run| WORD_CHARS.contains(&run.chars().count()))
        .map(str::to_lowercase)
}

/// Indexes `documents` with `threads` workers; an extra thread pulls the documents from their iterator.
pub(crate) fn scan<I>(documents: I, threads: usize, progress: &Progress) -> Vec<Shard>
where
    I: Iterator<Item = Document> + Send,
{
    let (sender, receiver) = mpsc::sync_channel(QUEUED_DOCUMENTS);
    // Owned by the workers only: if they all panic, the queue closes and the sender stops instead of waiting.
    let queue = Arc::new(Mutex::new(receiver));
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let queue = Arc::clone(&queue);
                scope.spawn(move || scan_queue(&queue, progress))
            })
            .collect();
        drop(queue);
        scope.spawn(move || send_all(documents, &sender));
        workers.into_iter().map(|worker| worker.join().expect("a worker panicked")).collect()
    })
}

/// The extra thread: queues the documents, waiting whenever the queue is full.
fn send_all(documents: impl Iterator<Item = Document>, sender: &SyncSender<Document>) {
    for document in documents {
        if sender.send(document).is_err() {
            // All workers have panicked, which `scan` will report.
            break;
        }
    }
}

/// A worker: indexes documents until the queue is empty and its sender dropped.
fn scan_queue(queue: &Mutex<Receiver<Document>>, progress: &Progress) -> Shard {
    let mut shard = Shard::default();
    while let Some(document) = next_document(queue) {
        let bytes = document.text.len();
        shard.add(document);
        progress.add_file(bytes);
    }
    shard
}

/// Waits for a document. This is a separate function so that the lock is released before the document is indexed.
fn next_document(queue: &Mutex<Receiver<Document>>) -> Option<Document> {
    queue.lock().expect("no worker panics while it waits").recv().ok()
}

/// A finished index. It depends only on the files, not on the number of workers or on scheduling.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Index {
    files: Vec<PathBuf>,
    words: BTreeMap<Arc<str>, Vec<Posting>>,
}

/// Merges the shards of the workers: each file belongs to one shard, but a word may occur in many.
pub(crate) fn merge(shards: Vec<Shard>) -> Index {
    let mut files = Vec::new();
    let mut words = BTreeMap::<Arc<str>, Vec<Posting>>::new();
    for shard in shards {
        files.extend(shard.files);
        for (word, postings) in shard.words {
            words.entry(Arc::from(word)).or_default().extend(postings);
        }
    }
    files.sort_unstable();
    for postings in words.values_mut() {
        postings.sort_unstable_by_key(|posting| posting.file);
        postings.shrink_to_fit();
    }
    Index { files: files.into_iter().map(|(_, path)| path).collect(), words }
}

impl Index {
    /// The number of distinct words.
    pub(crate) fn distinct_words(&self) -> usize {
        self.words.len()
    }

    /// The number of words in all files.
    pub(crate) fn occurrences(&self) -> u64 {
        self.words.values().map(|postings| occurrences(postings)).sum()
    }

    /// The number of pairs of a word and a file that contains it.
    pub(crate) fn postings(&self) -> usize {
        self.words.values().map(Vec::len).sum()
    }

    /// The longest word; if there are several, the first in alphabetical order.
    pub(crate) fn longest_word(&self) -> Option<Arc<str>> {
        // `rev`, because `max_by_key` returns the last of several equal ones.
        self.words.keys().rev().max_by_key(|word| word.chars().count()).cloned()
    }

    /// The `n` most frequent words, each with its occurrences and the number of files that contain it.
    pub(crate) fn most_frequent(&self, n: usize) -> Vec<(Arc<str>, u64, usize)> {
        let mut ranking: Vec<_> =
            self.words.iter().map(|(word, postings)| (occurrences(postings), word, postings.len())).collect();
        ranking.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        ranking.into_iter().take(n).map(|(count, word, files)| (Arc::clone(word), count, files)).collect()
    }

    /// The files that contain both words, ordered by path.
    pub(crate) fn files_with_both(&self, one: &str, other: &str) -> Vec<&Path> {
        let (Some(one), Some(other)) = (self.words.get(one), self.words.get(other)) else {
            return Vec::new();
        };
        one.iter()
            .filter(|posting| other.binary_search_by_key(&posting.file, |candidate| candidate.file).is_ok())
            .map(|posting| self.files[posting.file as usize].as_path())
            .collect()
    }

    /// A hash of the whole index, to compare two runs of the same build.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// How often a word occurs.
fn occurrences(postings: &[Posting]) -> u64 {
    postings.iter().map(|posting| u64::from(posting.count)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_words(text: &str) -> Vec<String> {
        words(text).collect()
    }

    fn build<'a>(texts: impl IntoIterator<Item = &'a str>, threads: usize) -> Index {
        let documents: Vec<_> = texts
            .into_iter()
            .zip(0..)
            .map(|(text, file)| Document { file, path: PathBuf::from(format!("{file:05}.txt")), text: text.to_owned() })
            .collect();
        merge(scan(documents.into_iter(), threads, &Progress::new()))
    }

    #[test]
    fn words_are_runs_of_letters_digits_and_underscores() {
        assert_eq!(all_words("fn do_it(x2: &str) -> u8;"), ["fn", "do_it", "x2", "str", "u8"]);
        assert_eq!(all_words("naïve 東京, ГОРОД!"), ["naïve", "東京", "город"]);
        assert_eq!(all_words(" ...\n"), [""; 0]);
    }

    #[test]
    fn words_are_lower_case() {
        assert_eq!(all_words("Vec VEC vec ÄÖÜ"), ["vec", "vec", "vec", "äöü"]);
    }

    #[test]
    fn words_have_2_to_64_characters() {
        let (longest, too_long) = ("ä".repeat(64), "ä".repeat(65));
        assert_eq!(all_words(&format!("a ab {longest} {too_long} é")), ["ab", &longest]);
    }

    #[test]
    fn the_number_of_threads_makes_no_difference() {
        // All texts differ in words and length, so that neither order nor counts can be equal by chance.
        let texts: Vec<String> =
            (0..500).map(|i| (0..i % 97).map(|j| format!("word{} Common_{} ", i * j % 211, j % 7)).collect()).collect();
        let build = |threads| build(texts.iter().map(String::as_str), threads);
        let single = build(1);
        assert_eq!(single.files.len(), texts.len());
        assert!(single.files.is_sorted());
        for threads in [2, 4, 16] {
            let index = build(threads);
            assert_eq!(index, single, "{threads} threads");
            assert_eq!(index.fingerprint(), single.fingerprint(), "{threads} threads");
        }
    }

    #[test]
    fn the_index_answers() {
        let index = build(["unsafe mmap unsafe", "unsafe box", "mmap", "mmap more UNSAFE"], 2);
        assert_eq!(index.files_with_both("unsafe", "mmap"), [Path::new("00000.txt"), Path::new("00003.txt")]);
        assert!(index.files_with_both("unsafe", "absent").is_empty());
        assert_eq!(index.most_frequent(2), [(Arc::from("unsafe"), 4, 3), (Arc::from("mmap"), 3, 3)]);
        assert_eq!(index.longest_word().as_deref(), Some("unsafe"));
        assert_eq!((index.distinct_words(), index.postings(), index.occurrences()), (4, 8, 9));
    }

    #[test]
    fn nothing_makes_an_empty_index() {
        let index = build([], 3);
        assert_eq!((index.distinct_words(), index.postings(), index.occurrences()), (0, 0, 0));
        assert_eq!(index.longest_word(), None);
        assert_eq!(index.most_frequent(10), []);
    }
}
