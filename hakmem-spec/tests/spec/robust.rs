//! No text makes the parser panic, overflow or loop.

use hakmem_spec::{Plan, Source, parse, table};

const WORDS: &[&str] = &[
    "0",
    "1",
    "7",
    "8",
    "24",
    "128",
    "1e9",
    "-1",
    "65_537",
    "0x7fff_ffff_ffff_fff8",
    "0xffff_ffff_ffff_ffff",
    "99999999999999999999",
    "nan",
    "true",
    "''",
    "'sll'",
    "'4 GiB'",
    "'17179869183 GiB'",
    "'never'",
    "[]",
    "[[]]",
    "[0]",
    "{}",
    "{ a = 1 }",
    "1979-05-27",
    "=",
    "]",
    "\"",
    "é",
    "\n",
    "",
];

/// A short spec with every key.
const SPEC: &str = "huge_pages = true
crash_report = true
[superslab]
size = 1048576
slab = 65536
[purge]
delay_ms = 100
background = true
[large]
cache = 0
[defaults]
layers = ['unified']
batch = 4
specialise = true
budget = { alloc = 5 , free = 6 }
unified = { capacity = 64 }
[[class]]
size = 8
align = 8
slab_units = 1
[[class]]
sizes = { from = 16 , to = 64 , step = 16 }
sll = { high_water = 4096 }
layers = [ 'unified' , 'sll' ]
[[class]]
sizes = { from = 128 , to = 1024 , steps_per_doubling = 2 }
";

fn try_everything(text: String) {
    let source = Source::inline("classes.toml", text, 7, 5);
    match parse(&source) {
        Ok(spec) => {
            let plan = Plan::new(&spec);
            assert_eq!(plan.classes.len(), spec.classes.len());
            assert!(!table(&spec).to_string().is_empty());
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in errors {
                assert!(error.render(&source).contains(" --> classes.toml:"));
                assert!(error.help.is_some() && !error.label.is_empty());
            }
        }
    }
}

#[test]
fn any_word_in_any_place() {
    parse(&Source::file("classes.toml", SPEC)).unwrap_or_else(|errors| panic!("{errors:?}"));
    let pieces: Vec<&str> = SPEC.split_inclusive([' ', '\n']).collect();
    for index in 0..pieces.len() {
        for word in WORDS {
            let end = if pieces[index].ends_with('\n') { "\n" } else { " " };
            try_everything([&pieces[..index], &[word, end], &pieces[index + 1..]].concat().concat());
        }
    }
}

#[test]
fn any_part_of_the_text() {
    for end in 0..SPEC.len() {
        try_everything(SPEC[..end].to_owned());
        try_everything(SPEC[end..].to_owned());
    }
}
