//! Pages to DOM trees: parsed as browsers do, queried by selectors, walked, written.

use crate::checksum::Checksum;
use crate::input::{self, Rng};
use scraper::{Html, Selector};
use std::collections::{BTreeMap, VecDeque};

const ARTICLES: usize = 150;

/// Pages alive at a time.
const KEPT: usize = 20;

const SELECTORS: [&str; 6] = [
    "article.card.featured h2 > a",
    "#content p em ~ code",
    "table tr td.k + td.v",
    "nav li:nth-child(2n+1) a[href*='q=1']",
    "ul.tags a.tag",
    "article:not(.featured) p:first-of-type b",
];

pub(crate) fn run(scale: u32) -> u64 {
    let words = input::words();
    let mut rng = Rng::new(3);
    let mut sum = Checksum::default();
    let mut kept = VecDeque::new();
    let mut tags: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..scale {
        let page = Html::parse_document(&input::html(&mut rng, &words, ARTICLES));
        for selector in SELECTORS {
            let selector = Selector::parse(selector).expect("a selector");
            let found: Vec<String> = page.select(&selector).map(|element| element.text().collect()).collect();
            sum.count(found.len());
            found.iter().for_each(|text| sum.text(text));
        }
        let tag = Selector::parse("a.tag").expect("a selector");
        for element in page.select(&tag) {
            *tags.entry(element.attr("href").unwrap_or_default().to_owned()).or_default() += 1;
        }
        let links = page.root_element().descendent_elements().filter_map(|element| element.attr("href"));
        sum.count(links.map(str::len).sum());
        sum.text(&page.html());
        kept.push_back(page);
        if kept.len() > KEPT {
            kept.pop_front();
        }
    }
    sum.count(kept.iter().map(|page| page.tree.nodes().count()).sum());
    tags.iter().for_each(|(tag, &count)| {
        sum.text(tag);
        sum.count(count);
    });
    sum.value()
}

#[cfg(test)]
#[test]
fn checksum() {
    assert_eq!(run(1), 0xf21b_2071_98a5_cbcf);
}
