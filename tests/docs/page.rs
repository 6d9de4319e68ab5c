//! The pages' generated tables: what is between `<!-- generated: NAME -->` and `<!-- end -->`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::{env, fs};

/// One test at a time writes.
static WRITING: Mutex<()> = Mutex::new(());

/// Where a file of the repository is.
pub(crate) fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// A file of the repository.
pub(crate) fn read(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Fails unless the table `name` of `page` is `table`; with `BLESS` set, writes it there.
pub(crate) fn check(page: &str, name: &str, table: &str) {
    let _writing = WRITING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let text = read(page);
    let start = format!("<!-- generated: {name} -->\n");
    let (before, rest) = text.split_once(&start).unwrap_or_else(|| panic!("{page} has no {start}"));
    let (found, after) = rest.split_once("<!-- end -->").unwrap_or_else(|| panic!("{page}: {name} does not end"));
    if env::var_os("BLESS").is_some() {
        // Other tests read the page meanwhile.
        let new = path(&format!("{page}.new"));
        fs::write(&new, format!("{before}{start}\n{table}\n<!-- end -->{after}")).expect("the page");
        fs::rename(new, path(page)).expect("the page");
    } else {
        assert_eq!(found.trim(), table.trim(), "{page}, {name}: run `BLESS=1 cargo test --test docs`");
    }
}

/// A Markdown table.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        assert_eq!(row.len(), head.len(), "{row:?}");
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

/// The rows of a recorded run (`docs/runs/NAME.csv`), the head first; lines that start with `#` say how it was made.
pub(crate) fn recorded(name: &str) -> Vec<Vec<String>> {
    let text = read(&format!("docs/runs/{name}.csv"));
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(split).collect()
}

/// The fields of a row. Those with commas are in quotes.
fn split(row: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for character in row.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => fields.last_mut().expect("there is one").push(other),
        }
    }
    fields
}
