//! Automata built and used: regular expressions and sets of them compiled, word lists to Aho-Corasick machines.

use crate::checksum::Checksum;
use crate::input::{self, Rng};
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex::{Captures, Regex, RegexSet};

/// A pattern of one of the shapes that log filters and linters have.
fn pattern(rng: &mut Rng, words: &[&str]) -> String {
    let (one, other) = (rng.pick(words), rng.pick(words));
    match rng.below(5) {
        0 => format!(r"(?i)\b{one}\w*\s+(?:{other}|{})\b", rng.pick(words)),
        1 => format!(r"(?m)^\s*(?P<key>{one}|[a-z_]+)\s*[:=]\s*(?P<value>[^\n]{{1,40}})$"),
        2 => format!(r"[{}-z]+(?:_{}|{})+\d{{0,3}}", &one[..1].to_ascii_lowercase(), rng.pick(words), other),
        3 => format!(r"{one}.{{0,24}}{other}"),
        _ => format!(r#""([^"\\]|\\.)*{one}([^"\\]|\\.)*"|\b{other}s?\b"#),
    }
}

pub(crate) fn run(scale: u32) -> u64 {
    let words = input::words();
    let sources = input::sources();
    let mut rng = Rng::new(12);
    let mut sum = Checksum::default();
    let mut kept = Vec::new();
    for round in 0..scale as usize {
        let text = sources[round % sources.len()];
        let patterns: Vec<String> = (0..24).map(|_| pattern(&mut rng, &words)).collect();
        let set = RegexSet::new(&patterns).expect("the patterns are right");
        sum.count(text.lines().filter(|line| set.is_match(line)).count());
        for pattern in &patterns[..8] {
            let regex = Regex::new(pattern).expect("the pattern is right");
            let replaced = regex.replace_all(text, |found: &Captures<'_>| {
                format!("<{}:{}>", found.get(0).map_or(0, |all| all.len()), found.len())
            });
            sum.text(&replaced);
            kept.push(regex);
        }
        if kept.len() > 200 {
            kept.drain(..100);
        }
        let list: Vec<String> = (0..800).map(|_| rng.sentence(&words, 1)).collect();
        let kind = [AhoCorasickKind::NoncontiguousNFA, AhoCorasickKind::ContiguousNFA, AhoCorasickKind::DFA][round % 3];
        let machine = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .ascii_case_insensitive(true)
            .kind(Some(kind))
            .build(&list)
            .expect("the list is small enough");
        let found: Vec<_> =
            machine.find_iter(text).map(|found| (found.start(), list[found.pattern()].clone())).collect();
        found.iter().for_each(|(at, word)| {
            sum.count(*at);
            sum.text(word);
        });
    }
    sum.value()
}

#[cfg(test)]
#[test]
fn checksum() {
    assert_eq!(run(1), 0x7371_0b90_81e6_ae82);
}
