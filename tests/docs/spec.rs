//! `docs/SPEC.md` says what the code does: its examples, its error messages and its tables are checked here.

use crate::page::{self, check};
use hakmem_spec::{LAYERS, Parameter, Plan, Source, Spec, Unit};

const TEXT: &str = include_str!("../../docs/SPEC.md");

/// The blocks of code in a language, each with the text after it.
fn blocks(language: &str) -> Vec<(&'static str, &'static str)> {
    let fence = format!("```{language}\n");
    let parts = TEXT.split(fence.as_str()).skip(1);
    parts.map(|part| part.split_once("```\n").expect("every block ends")).collect()
}

/// The rows of the tables with this head, as cells without the blanks around them: table by table.
fn tables(head: &str) -> Vec<Vec<Vec<String>>> {
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let tables = TEXT.split(head).skip(1);
    tables.map(|table| table.lines().skip(2).take_while(|line| line.starts_with('|')).map(cells).collect()).collect()
}

/// A number as the tables write it: `1,024`.
fn number(cell: &str) -> usize {
    cell.replace(',', "").parse().unwrap_or_else(|_| panic!("{cell:?} is not a number"))
}

fn spec(text: &str) -> Spec {
    let source = Source::file("classes.toml", text);
    hakmem_spec::parse(&source).unwrap_or_else(|errors| panic!("{}\nin\n{text}", errors[0].render(&source)))
}

#[test]
fn examples_are_valid_and_errors_are_as_shown() {
    let (mut valid, mut wrong) = (0, 0);
    for (text, after) in blocks("toml") {
        let source = Source::file("classes.toml", text);
        let Err(errors) = hakmem_spec::parse(&source) else {
            valid += 1;
            continue;
        };
        let messages: Vec<String> = errors.iter().map(|error| error.render(&source)).collect();
        let (_, shown) = after.split_once("```text\n").unwrap_or_else(|| panic!("{}\nin\n{text}", messages[0]));
        assert_eq!(shown.split_once("```\n").expect("every block ends").0, messages.join("\n\n") + "\n");
        wrong += 1;
    }
    assert!(valid >= 4 && wrong == 1, "{valid} examples, {wrong} with errors");
}

#[test]
fn requests_go_to_the_classes_that_are_named() {
    let spec = hakmem_spec::parse(&Source::default_spec()).expect("the default spec is valid");
    let plan = Plan::new(&spec);
    let [table] = &tables("| size | alignment | class |")[..] else { panic!("there is one such table") };
    assert!(table.len() >= 5);
    for row in table {
        let class = plan.class_for(number(&row[0]), number(&row[1])).map(|index| plan.classes[index].size as usize);
        let named = if row[2].starts_with("none") { None } else { Some(number(&row[2])) };
        assert_eq!(class, named, "a request of {} aligned to {}", row[0], row[1]);
    }
}

/// A number as text: `65,535`.
fn written(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

/// The sizes for which the table of layers shows what follows from the size.
const SIZES: [u32; 5] = [8, 128, 1024, 4096, 262_144];

/// A class of `size` with a stack, and slabs so large that each class has spans of one, which `pages` needs. No limit
/// depends on them.
fn class_of(size: u32, stack: &str, keys: &str) -> Spec {
    let slabs = "[superslab]\nsize = \"64 MiB\"\nslab = \"1 MiB\"\n";
    spec(&format!("{slabs}[[class]]\nsize = {size}\nlayers = [{stack}]\n{keys}"))
}

/// The table of layers is generated from the catalogue. What it says of ranges and of what follows from the size is what
/// the parser does.
#[test]
fn layers_are_as_in_their_table() {
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let mut lines = Vec::new();
    for layer in LAYERS {
        let name = format!("{:?}", layer.name);
        let mut line = vec![format!("`{}`", layer.name), layer.summary.to_owned(), yes(layer.bounded)];
        let Some(Parameter { key, unit, min, max, default }) = layer.parameter else {
            line.extend(["none", "", ""].map(str::to_owned));
            line.extend(SIZES.map(|_| String::new()));
            lines.push(line);
            continue;
        };
        let range = match unit {
            Unit::Blocks => format!("{} to {} blocks", written(min), written(max)),
            // `Parameter::limit` counts blocks, and no more than the default's bound.
            Unit::Bytes => {
                assert_eq!(layer.parameter.map(|bytes| bytes.limit(Some(max), 8)), Some(default.max));
                format!(
                    "{min} byte to {}, at most {} blocks",
                    hakmem_spec::format_bytes(max),
                    written(default.max.into())
                )
            }
        };
        for (value, valid) in [(min, true), (max, true), (min - 1, false), (max + 1, false)] {
            let keys = format!("batch = 1\n{} = {{ {key} = {value} }}\n", layer.name);
            let text = format!("[[class]]\nsize = 16\nlayers = [{name}]\n{keys}");
            let accepted = hakmem_spec::parse(&Source::file("classes.toml", &text)).is_ok();
            assert_eq!(accepted, valid, "{}.{key} = {value}", layer.name);
        }
        let formula = match default.bytes {
            0 => format!("`{}`", default.min),
            bytes => format!("`clamp({bytes} / size, {}, {})`", default.min, default.max),
        };
        line.extend([format!("`{key}`"), range, formula]);
        for size in SIZES {
            let left_out = class_of(size, &name, "");
            let limit = left_out.classes[0].stack[0].limit;
            line.push(self::written(limit.into()));
            let value = if unit == Unit::Blocks { limit } else { limit * size };
            let mut written = class_of(size, &name, &format!("{} = {{ {key} = {value} }}\n", layer.name));
            written.classes[0].span = left_out.classes[0].span.clone();
            assert_eq!(written, left_out, "{}.{key} of the class of {size}", layer.name);
        }
        lines.push(line);
    }
    let mut line =
        ["`batch`", "", "", "", "1 to 1,024 blocks", "`clamp(4096 / size, 1, 32)`"].map(str::to_owned).to_vec();
    line.extend(SIZES.map(|size| self::written(class_of(size, "\"unified\", \"sll\"", "").classes[0].batch.into())));
    lines.push(line);
    let sizes = SIZES.map(|size| self::written(size.into()));
    let mut head = vec!["layer", "what it is", "bounded", "key", "range", "default"];
    head.extend(sizes.iter().map(String::as_str));
    check("docs/SPEC.md", "layers", &page::table(&head, &lines));
}

/// The words of the table of policies are those that the parser knows, and the first of each key is the default.
#[test]
fn policies_are_as_in_their_table() {
    let [table] = &tables("| key | value | what it does |")[..] else { panic!("there is one such table") };
    let default = spec("[[class]]\nsize = 64\n");
    let mut last = String::new();
    for row in table {
        let (key, value) = (row[0].trim_matches('`'), row[1].trim_matches('`'));
        let mut written = spec(&format!("[[class]]\nsize = 64\n{key} = {value}\n"));
        written.classes[0].span = default.classes[0].span.clone();
        assert_eq!(written == default, key != last, "{key} = {value}");
        key.clone_into(&mut last);
    }
    for key in ["refill", "free", "header"] {
        let source = Source::file("classes.toml", format!("[[class]]\nsize = 64\n{key} = \"?\"\n"));
        let errors = hakmem_spec::parse(&source).expect_err("there is no such word");
        let help = errors[0].help.clone().unwrap_or_default();
        let words: Vec<&str> = help.split('`').skip(1).step_by(2).collect();
        let rows = table.iter().filter(|row| row[0].trim_matches('`') == key);
        let shown: Vec<&str> = rows.map(|row| row[1].trim_matches(['`', '"'])).collect();
        assert_eq!(shown, words, "{key}");
    }
}

/// Each default written out makes the spec that leaving it out makes.
#[test]
fn defaults_are_as_in_the_tables() {
    let [whole, _class, shared] = &tables("| key | type | default | range | effect |")[..] else {
        panic!("there are three such tables")
    };
    let mut written_out = 0;
    for (row, place) in whole.iter().map(|row| (row, "")).chain(shared.iter().map(|row| (row, "defaults"))) {
        let (key, Some(value)) = (row[0].trim_matches('`'), row[2].strip_prefix('`')) else { continue };
        let value = value.trim_end_matches('`');
        let (table, last) = key.rsplit_once('.').unwrap_or(("", key));
        let heading = match (place, table) {
            ("", "") => String::new(),
            ("", name) | (name, "") => format!("[{name}]\n"),
            (place, table) => format!("[{place}.{table}]\n"),
        };
        let class = "[[class]]\nsize = 64\n";
        let (default, mut written) = (spec(class), spec(&format!("{heading}{last} = {value}\n\n{class}")));
        written.classes[0].span = default.classes[0].span.clone();
        assert_eq!(written, default, "{key}");
        written_out += 1;
    }
    let not_derived = ["layers", "specialise", "refill", "free", "header", "stats", "budget"];
    assert_eq!(written_out, whole.len() + not_derived.len(), "defaults of `[defaults]` that are not derived");
}
