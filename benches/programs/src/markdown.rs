//! Markdown rendered: streamed into one string that grows, and through a tree that is edited and written twice.

use crate::checksum::Checksum;
use crate::input::{self, Rng};
use comrak::nodes::NodeValue;
use comrak::{Arena, Options as TreeOptions};
use pulldown_cmark::{Event, Options, Parser, html};
use std::fmt::Write;

/// The documents once more, with sections that are different each time.
fn chapter(rng: &mut Rng, words: &[&str]) -> String {
    let mut text = String::from(input::DOCS);
    for number in 0..60 {
        let count = 20 + rng.skewed(120);
        let _ = write!(
            text,
            "\n## {number}. {}\n\n{} *{}* and **{}**, see [{}](#{number}) and `{}`[^{number}].\n\n[^{number}]: {}\n\n",
            rng.sentence(words, 4),
            rng.sentence(words, count),
            rng.sentence(words, 3),
            rng.pick(words),
            rng.pick(words),
            rng.pick(words),
            rng.sentence(words, 9),
        );
        for item in 0..rng.skewed(9) {
            let _ = writeln!(
                text,
                "{}- [{}] {}",
                "  ".repeat(item % 3),
                if item % 2 == 0 { ' ' } else { 'x' },
                rng.sentence(words, 8)
            );
        }
    }
    text
}

pub(crate) fn run(scale: u32) -> u64 {
    let words = input::words();
    let mut rng = Rng::new(11);
    let mut sum = Checksum::default();
    let mut options = TreeOptions::default();
    options.extension.table = true;
    options.extension.footnotes = true;
    options.extension.tasklist = true;
    options.extension.autolink = true;
    let mut book = String::new();
    for _ in 0..scale {
        let text = chapter(&mut rng, &words);
        let arena = Arena::new();
        let root = comrak::parse_document(&arena, &text, &options);
        for node in root.descendants() {
            if let NodeValue::Text(text) = &mut node.data.borrow_mut().value
                && text.len() > 40
            {
                text.to_mut().push_str(" (more)");
            }
        }
        let (mut page, mut source) = (String::new(), String::new());
        comrak::format_html(root, &options, &mut page).expect("written to memory");
        comrak::format_commonmark(root, &options, &mut source).expect("written to memory");
        sum.text(&page);
        book.push_str(&source);
    }
    // One text of megabytes to one string that does not know how long it will be.
    let events = Parser::new_ext(&book, Options::all()).map(|event| match event {
        Event::SoftBreak => Event::Text(" ".into()),
        event => event,
    });
    let mut rendered = String::new();
    html::push_html(&mut rendered, events);
    sum.text(&rendered);
    sum.value()
}

#[cfg(test)]
#[test]
fn checksum() {
    assert_eq!(run(1), 0x6308_9465_3ad7_90fe);
}
