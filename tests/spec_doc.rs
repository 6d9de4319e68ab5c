//! `docs/SPEC.md` says what the code does: its examples, its error messages and its tables are checked here.

use hakmem_spec::{LAYERS, Parameter, Plan, Source, Spec, Unit};

const TEXT: &str = include_str!("../docs/SPEC.md");

/// The blocks of code in a language, each with the text behind it.
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
    for (text, behind) in blocks("toml") {
        let source = Source::file("classes.toml", text);
        let Err(errors) = hakmem_spec::parse(&source) else {
            valid += 1;
            continue;
        };
        let messages: Vec<String> = errors.iter().map(|error| error.render(&source)).collect();
        let (_, shown) = behind.split_once("```text\n").unwrap_or_else(|| panic!("{}\nin\n{text}", messages[0]));
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
        let class = plan.slot_for(number(&row[0]), number(&row[1])).map(|slot| plan.slots[slot].size as usize);
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

#[test]
fn what_is_derived_is_as_in_the_table() {
    let head = TEXT.lines().find(|line| line.starts_with("| value | formula |")).expect("the table is there");
    let sizes: Vec<usize> = head.trim_matches('|').split('|').skip(2).map(|cell| number(cell.trim())).collect();
    let [table] = &tables("| value | formula |")[..] else { panic!("there is one such table") };
    // Every limit that follows from the size has a row, and `batch`.
    let derived = |parameter: &Parameter| parameter.default.bytes > 0;
    let layers = LAYERS.iter().filter(|layer| layer.parameter.as_ref().is_some_and(derived));
    let values = layers.map(|layer| match layer.parameter {
        Some(Parameter { key, unit: Unit::Blocks, .. }) => format!("`{}.{key}`", layer.name),
        _ => format!("blocks in `{}`", layer.name),
    });
    let mut values: Vec<String> = values.chain(["`batch`".to_owned()]).collect();
    let mut rows: Vec<&str> = table.iter().map(|row| &*row[0]).collect();
    rows.sort_unstable();
    values.sort_unstable();
    assert_eq!(rows, values);
    for row in table {
        let layer = LAYERS.iter().find(|layer| row[0].contains(&format!("`{}", layer.name)));
        if let Some(default) = layer.and_then(|layer| layer.parameter).map(|parameter| parameter.default) {
            assert_eq!(row[1], format!("`clamp({} / size, {}, {})`", default.bytes, default.min, default.max));
        }
        let stack = layer.map_or_else(|| "\"unified\", \"sll\"".to_owned(), |layer| format!("{:?}", layer.name));
        for (size, shown) in sizes.iter().zip(&row[2..]) {
            // Slabs so large that each class has spans of one, which `pages` needs. No limit depends on them.
            let slabs = "[superslab]\nsize = \"64 MiB\"\nslab = \"1 MiB\"\n";
            let spec = spec(&format!("{slabs}[[class]]\nsize = {size}\nlayers = [{stack}]\n"));
            let class = &spec.classes[0];
            let derived = if layer.is_some() { class.stack[0].limit } else { class.batch };
            assert_eq!(derived as usize, number(shown), "{} of the class of {size}", row[0]);
        }
    }
}

#[test]
fn layers_are_as_in_their_table() {
    let [table] = &tables("| layer | bounded | parameter | what it does |")[..] else {
        panic!("there is one such table")
    };
    let rows: Vec<[&str; 3]> = table.iter().map(|row| [&*row[0], &*row[1], &*row[2]]).collect();
    assert_eq!(rows.len(), LAYERS.len());
    for layer in LAYERS {
        let (name, bounded) = (format!("`{}`", layer.name), if layer.bounded { "yes" } else { "no" });
        let parameter = layer.parameter.map_or("none".to_owned(), |parameter| format!("`{}`", parameter.key));
        assert!(rows.contains(&[&name, bounded, &parameter]), "{name}, {bounded}, {parameter} in {rows:?}");
    }
}

#[test]
fn ranges_of_parameters_are_as_in_their_table() {
    let [_whole, shared, _class] = &tables("| key | type | default | range | effect |")[..] else {
        panic!("there are three such tables")
    };
    for layer in LAYERS {
        let Some(Parameter { key, unit, min, max, .. }) = layer.parameter else { continue };
        let key = format!("`{}.{key}`", layer.name);
        let row = shared.iter().find(|row| row[0] == key).unwrap_or_else(|| panic!("no row for {key}"));
        match unit {
            Unit::Blocks => assert_eq!(
                (&*row[1], row[3].clone()),
                ("blocks", format!("{} to {}", written(min), written(max))),
                "{key}"
            ),
            Unit::Bytes => assert_eq!(
                (&*row[1], row[3].clone()),
                ("bytes", format!("{min} byte to {}", hakmem_spec::format_bytes(max))),
                "{key}"
            ),
        }
    }
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
    let [whole, shared, _class] = &tables("| key | type | default | range | effect |")[..] else {
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
        // A layer's parameter shows in a class that has the layer.
        let stack =
            if place.is_empty() || table.is_empty() { String::new() } else { format!("layers = [{table:?}]\n") };
        let class = format!("[[class]]\nsize = 64\n{stack}");
        let (default, mut written) = (spec(&class), spec(&format!("{heading}{last} = {value}\n\n{class}")));
        written.classes[0].span = default.classes[0].span.clone();
        assert_eq!(written, default, "{key}");
        written_out += 1;
    }
    let not_derived = ["layers", "ultrahot.slots", "specialise", "refill", "free", "header", "stats", "budget"];
    assert_eq!(written_out, whole.len() + not_derived.len(), "defaults of `[defaults]` that are not derived");
}
