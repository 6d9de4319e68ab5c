//! What the programs work on: committed texts, and text of realistic shape made from a seed.

use std::collections::BTreeSet;
use std::fmt::Write;

/// This repository's documents as they were one day; the copy keeps the checksums when the documents change.
pub(crate) const DOCS: &str = include_str!("../input/docs.md");

/// Some of its sources, likewise.
const SOURCES: &str = include_str!("../input/sources.txt");

/// The source files, without the lines that name them.
pub(crate) fn sources() -> Vec<&'static str> {
    SOURCES.split("==== ").skip(1).filter_map(|file| Some(file.split_once('\n')?.1)).collect()
}

/// The distinct words of the documents, sorted.
pub(crate) fn words() -> Vec<&'static str> {
    let words: BTreeSet<&str> =
        DOCS.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| (3..=16).contains(&word.len())).collect();
    words.into_iter().collect()
}

/// splitmix64: the same numbers everywhere.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ (value >> 31)
    }

    /// Below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Small numbers often, large ones seldom, as keys and sizes are in life.
    pub(crate) fn skewed(&mut self, bound: usize) -> usize {
        let first = self.below(bound) + 1;
        self.below(first)
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.skewed(of.len())]
    }

    /// A sentence of `count` words.
    pub(crate) fn sentence(&mut self, words: &[&str], count: usize) -> String {
        let mut sentence = String::new();
        for _ in 0..count {
            if !sentence.is_empty() {
                sentence.push(' ');
            }
            sentence.push_str(self.pick(words));
        }
        sentence
    }
}

/// An API's answer: an array of records, some nested, with optional fields.
pub(crate) fn json(rng: &mut Rng, words: &[&str], records: usize) -> String {
    let mut text = String::from("[");
    for id in 0..records {
        let comma = if id == 0 { "" } else { "," };
        let (name, title) = (rng.pick(words), rng.sentence(words, 6));
        let (size, ratio) = (rng.skewed(1_000_000), rng.below(10_000) as f64 / 64.0);
        let _ = write!(
            text,
            "{comma}\n{{\"id\":{id},\"name\":\"{name}\",\"title\":\"{title}\",\"size\":{size},\"ratio\":{ratio},\
             \"open\":{},\"owner\":{{\"login\":\"{}-{}\",\"id\":{},\"roles\":[\"{}\",\"{}\"]}},\"labels\":[",
            id % 3 == 0,
            rng.pick(words),
            rng.below(500),
            rng.below(500),
            rng.pick(words),
            rng.pick(words),
        );
        for label in 0..rng.skewed(6) {
            let comma = if label == 0 { "" } else { "," };
            let _ =
                write!(text, "{comma}{{\"name\":\"{}\",\"color\":\"{:06x}\"}}", rng.pick(words), rng.below(1 << 24));
        }
        text.push(']');
        if rng.below(4) > 0 {
            let count = 10 + rng.skewed(60);
            let _ = write!(text, ",\"body\":\"{}\\n\\u00e9 {}\"", rng.sentence(words, count), rng.pick(words));
        }
        for _ in 0..rng.skewed(4) {
            let _ = write!(text, ",\"x-{}\":null", rng.pick(words));
        }
        text.push('}');
    }
    text.push_str("\n]\n");
    text
}

/// A page as shops and forums have them: navigation, many articles with lists and tables, some tags left open.
pub(crate) fn html(rng: &mut Rng, words: &[&str], articles: usize) -> String {
    let mut page = String::from("<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>");
    let _ = write!(page, "{}</title></head><body class=\"main wide\"><nav><ul>", rng.sentence(words, 5));
    for link in 0..30 {
        let _ = write!(
            page,
            "<li><a href=\"/s/{}?p={link}&amp;q=1\" class=\"nav\">{}</a>",
            rng.pick(words),
            rng.pick(words)
        );
    }
    page.push_str("</ul></nav><div id=content>\n");
    for id in 0..articles {
        let _ = writeln!(
            page,
            "<article id=\"a{id}\" class=\"card {} {}\" data-rank=\"{}\"><h2><a href='/item/{id}'>{}</a></h2>",
            rng.pick(words),
            if id % 4 == 0 { "featured" } else { "plain" },
            rng.below(1000),
            rng.sentence(words, 6),
        );
        for _ in 0..1 + rng.skewed(5) {
            let (head, tail) = (10 + rng.skewed(40), 5 + rng.skewed(20));
            let _ = writeln!(
                page,
                "<p>{} <em>{}</em> &mdash; <code>{}</code> <b>{}</b> {}.",
                rng.sentence(words, head),
                rng.pick(words),
                rng.pick(words),
                rng.sentence(words, 2),
                rng.sentence(words, tail),
            );
        }
        page.push_str("<table><tr><th>key<th>value");
        for row in 0..rng.skewed(12) {
            let _ = write!(page, "<tr><td class=k>{}<td class=v>{}", rng.pick(words), rng.below(100 + row));
        }
        let _ = write!(page, "</table><img src=\"/i/{id}.png\" alt=\"{}\"><ul class=tags>", rng.sentence(words, 3));
        for _ in 0..rng.skewed(8) {
            let _ = write!(page, "<li><a class=tag href=\"/t/{0}\">{0}</a></li>", rng.pick(words));
        }
        page.push_str("</ul></article>\n");
    }
    page.push_str("</div><!-- end --><script>if (1 < 2) { load(\"</p>\"); }</script></body></html>\n");
    page
}
