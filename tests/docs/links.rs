//! Every relative link of a page leads to a file, and to a heading of it if it names one.

use crate::page::{path, read};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// All pages, as paths from the repository's root.
fn pages() -> Vec<String> {
    let mut pages: Vec<String> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "benches/README.md"].map(str::to_owned).to_vec();
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(path(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                folders.push(name);
            } else if name.ends_with(".md") {
                pages.push(name);
            }
        }
    }
    pages
}

/// A page without its blocks of code.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings
        .map(|heading| {
            let title = heading.trim_start_matches('#').trim().to_lowercase();
            title.chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn relative_links_resolve() {
    let mut links = 0;
    for page in pages() {
        let text = prose(&read(&page));
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', ' ']).next().unwrap_or_default();
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = Path::new(&page).parent().expect("a page is in a folder");
            let file = if file.is_empty() { page.clone() } else { folder.join(file).to_string_lossy().into_owned() };
            assert!(path(&file).exists(), "{page}: no {target}");
            let known = anchor.is_empty() || anchors(&prose(&read(&file))).contains(anchor);
            assert!(known, "{page}: {file} has no heading for #{anchor}");
            links += 1;
        }
    }
    assert!(links >= 50, "{links} links: are they still found?");
}

/// No page is left that nothing leads to.
#[test]
fn every_page_is_linked_from_another() {
    let pages = pages();
    let texts: Vec<(String, String)> = pages.iter().map(|page| (page.clone(), read(page))).collect();
    for page in pages.iter().filter(|page| *page != "README.md") {
        let name = Path::new(page).file_name().expect("a file").to_string_lossy();
        let linked = texts.iter().any(|(other, text)| other != page && text.contains(&format!("{name})")));
        assert!(linked || page == "CHANGELOG.md", "nothing links to {page}");
    }
}
