//! A search engine's index: texts to stems, stems to postings, segments merged, a dictionary built, queries answered.

use crate::checksum::Checksum;
use crate::input::{self, Rng};
use fst::{IntoStreamer, Map, Streamer};
use rust_stemmers::{Algorithm, Stemmer};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use unicode_segmentation::UnicodeSegmentation;

/// Documents of one segment.
const DOCUMENTS: u32 = 200;
/// Segments of one merged index.
const SEGMENTS: u32 = 20;

/// Document and places in it.
type Postings = Vec<(u32, Vec<u32>)>;

/// What was read lately, not yet sorted.
type Buffer = HashMap<String, Postings, BuildHasherDefault<DefaultHasher>>;

fn add(buffer: &mut Buffer, stemmer: &Stemmer, document: u32, text: &str) {
    for (place, word) in text.unicode_words().enumerate() {
        let stem = stemmer.stem(&word.to_lowercase()).into_owned();
        let postings = buffer.entry(stem).or_default();
        match postings.last_mut() {
            Some((last, places)) if *last == document => places.push(place as u32),
            _ => postings.push((document, vec![place as u32])),
        }
    }
}

/// A finished index: terms in a transducer, which gives their place in `postings`.
struct Index {
    terms: Map<Vec<u8>>,
    postings: Vec<Postings>,
}

impl Index {
    fn new(segments: Vec<Buffer>) -> Self {
        let mut all: BTreeMap<String, Postings> = BTreeMap::new();
        for segment in segments {
            for (term, postings) in segment {
                all.entry(term).or_default().extend(postings);
            }
        }
        let terms = Map::from_iter(all.keys().zip(0..)).expect("keys of a tree are sorted");
        Self { terms, postings: all.into_values().collect() }
    }

    /// Documents with both terms, the nearest pairs first.
    fn both(&self, one: &str, other: &str) -> Vec<(u32, u32)> {
        let find = |term: &str| self.terms.get(term).map_or(&[][..], |at| &self.postings[at as usize]);
        let others: BTreeMap<u32, &[u32]> = find(other).iter().map(|(doc, places)| (*doc, &places[..])).collect();
        let mut found: Vec<(u32, u32)> = find(one)
            .iter()
            .filter_map(|(doc, places)| {
                let others = others.get(doc)?;
                let near = places.iter().flat_map(|place| others.iter().map(|other| place.abs_diff(*other)));
                Some((near.min()?, *doc))
            })
            .collect();
        found.sort_unstable();
        found.truncate(10);
        found
    }

    fn prefixed(&self, prefix: &str) -> Vec<String> {
        let mut stream = self.terms.range().ge(prefix).into_stream();
        let mut found = Vec::new();
        while let Some((term, _)) = stream.next() {
            if !term.starts_with(prefix.as_bytes()) || found.len() == 20 {
                break;
            }
            found.push(String::from_utf8_lossy(term).into_owned());
        }
        found
    }
}

pub(crate) fn run(scale: u32) -> u64 {
    let words = input::words();
    let sources = input::sources();
    let paragraphs: Vec<&str> =
        input::DOCS.split("\n\n").chain(sources.iter().flat_map(|source| source.split("\n\n"))).collect();
    let stemmer = Stemmer::create(Algorithm::English);
    let mut rng = Rng::new(8);
    let mut sum = Checksum::default();
    let mut segments = Vec::new();
    for segment in 0..scale {
        let mut buffer = Buffer::default();
        for document in 0..DOCUMENTS {
            let number = rng.below(paragraphs.len());
            let more = rng.sentence(&words, 40);
            let text = format!("{}\n{more} {}{}", paragraphs[number], rng.pick(&words), rng.below(3_000));
            add(&mut buffer, &stemmer, segment * DOCUMENTS + document, &text);
        }
        segments.push(buffer);
        if (segment + 1) % SEGMENTS != 0 && segment + 1 != scale {
            continue;
        }
        let index = Index::new(std::mem::take(&mut segments));
        sum.count(index.terms.len());
        for _ in 0..200 {
            let (one, other) = (stemmer.stem(rng.pick(&words)), stemmer.stem(rng.pick(&words)));
            for (near, document) in index.both(&one, &other) {
                sum.add(u64::from(near) << 32 | u64::from(document));
            }
            let prefix = rng.pick(&words);
            index.prefixed(&prefix[..3]).iter().for_each(|term| sum.text(term));
        }
    }
    sum.value()
}

#[cfg(test)]
#[test]
fn checksum() {
    assert_eq!(run(1), 0x0e9e_a58e_6961_e564);
}
