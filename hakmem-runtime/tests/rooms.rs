//! The runtime's folders and files import one way. A file of one imports what comes before it in `ROOMS`, and no two
//! files of a folder import each other, not even through a third.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The modules at the top of the crate, each of which may import those before it.
const ROOMS: &[&str] = &[
    "simulated",
    "sys",
    "meta",
    "slab",
    "backend",
    "extent",
    "heap",
    "cache",
    "thread_cache",
    "header",
    "size_table",
    "class_offset",
    "group",
    "groups",
    "global",
    "global_alloc",
    "table_checks",
    "worker",
    "background",
    "purger",
    "crash_report",
    "stats",
    "layer_stats",
    "record",
    "c",
    "lib",
];

/// The code of a file before its tests, without comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a file of the tree");
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The words that follow `prefix`, also as a group in braces.
fn words_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let after = code.split(prefix).skip(1).flat_map(|rest| match rest.strip_prefix('{') {
        Some(group) => group.split('}').next().unwrap_or_default().split(',').collect::<Vec<_>>(),
        None => vec![rest],
    });
    let first_word = |text: &str| {
        text.trim().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect::<String>()
    };
    after.map(first_word).filter(|word| !word.is_empty()).collect()
}

/// Every file below `folder` with the module at the top of the crate that it is in, and its own name.
fn files(folder: &Path) -> Vec<(String, String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder of the tree") {
            let path = entry.expect("an entry of the folder").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let inside = path.strip_prefix(folder).expect("below the folder").with_extension("");
                let mut parts = inside.iter().map(|part| part.to_string_lossy().into_owned());
                let room = parts.next().expect("a name");
                let name = parts.next().unwrap_or_else(|| room.clone());
                if !name.ends_with("tests") {
                    files.push((room, name, code(&path)));
                }
            }
        }
    }
    files
}

#[test]
fn imports_go_one_way() {
    let rank = |room: &str| ROOMS.iter().position(|known| *known == room);
    let mut wrong = BTreeSet::new();
    let mut inside: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for (room, name, code) in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        assert!(rank(&room).is_some(), "{room} has no place in ROOMS");
        let mut siblings = words_after(&code, "super::");
        for imported in words_after(&code, "crate::") {
            if imported == room {
                siblings.extend(words_after(&code, &format!("crate::{room}::")));
            } else if rank(&imported).is_some() && rank(&imported) > rank(&room) {
                wrong.insert(format!("{room}/{name} imports {imported}"));
            }
        }
        // `mod.rs` only gathers a folder's files.
        if name != "mod" {
            inside.entry((room, name)).or_default().extend(siblings);
        }
    }
    // Everything that a file reaches within its folder.
    for (room, name) in inside.keys() {
        let mut reached = BTreeSet::new();
        let mut next = vec![name.clone()];
        while let Some(file) = next.pop() {
            for sibling in inside.get(&(room.clone(), file)).into_iter().flatten() {
                if reached.insert(sibling.clone()) {
                    next.push(sibling.clone());
                }
            }
        }
        if reached.contains(name) && room != "lib" {
            wrong.insert(format!("{room}/{name} imports itself through others"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A name leads to one file and to one type.
#[test]
fn no_name_is_used_twice() {
    let mut uses: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (room, name, code) in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        if name != "mod" {
            uses.entry(format!("{name}.rs")).or_default().push(room.clone());
        }
        for line in code.lines().filter(|line| !line.starts_with(' ')) {
            let mut words = line
                .split([' ', '<', '(', ':', ';'])
                .skip_while(|word| word.starts_with("pub") || ["crate)", "super)", "unsafe", ""].contains(word));
            if let Some("struct" | "enum" | "trait" | "type" | "union") = words.next()
                && let Some(name) = words.next()
            {
                uses.entry(name.to_owned()).or_default().push(room.clone());
            }
        }
    }
    uses.retain(|_, rooms| rooms.len() > 1);
    assert!(uses.is_empty(), "{uses:#?}");
}
