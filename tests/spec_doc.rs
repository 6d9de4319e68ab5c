//! `docs/SPEC.md` says what the code does: its examples, its error messages and its tables are checked here.

use hakmem_spec::{Plan, Source, Spec};

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

#[test]
fn what_is_derived_is_as_in_the_table() {
    let head = TEXT.lines().find(|line| line.starts_with("| value | formula |")).expect("the table is there");
    let sizes: Vec<usize> = head.trim_matches('|').split('|').skip(2).map(|cell| number(cell.trim())).collect();
    let [table] = &tables("| value | formula |")[..] else { panic!("there is one such table") };
    assert_eq!(table.len(), 3);
    for row in table {
        for (size, shown) in sizes.iter().zip(&row[2..]) {
            let spec = spec(&format!("[[class]]\nsize = {size}\nlayers = [\"unified\", \"sll\"]\n"));
            let class = &spec.classes[0];
            let limit = |name| class.stack.iter().find(|layer| layer.kind.name == name).map(|layer| layer.limit);
            let derived = match &*row[0] {
                "`unified.capacity`" => limit("unified"),
                "blocks in `sll`" => limit("sll"),
                _ => Some(class.batch),
            };
            assert_eq!(derived, u32::try_from(number(shown)).ok(), "{} of the class of {size}", row[0]);
        }
    }
}

/// Each default written out makes the spec that leaving it out makes.
#[test]
fn defaults_are_as_in_the_tables() {
    let default = spec("[[class]]\nsize = 64\n");
    let [whole, shared, _class] = &tables("| key | type | default | range | effect |")[..] else {
        panic!("there are three such tables")
    };
    let mut written_out = 0;
    for (row, place) in whole.iter().map(|row| (row, "")).chain(shared.iter().map(|row| (row, "[defaults]\n"))) {
        let (key, Some(value)) = (row[0].trim_matches('`'), row[2].strip_prefix('`')) else { continue };
        let value = value.trim_end_matches('`');
        let text = match key.split_once('.') {
            Some((table, key)) => format!("[{table}]\n{key} = {value}\n"),
            None => format!("{place}{key} = {value}\n"),
        };
        let mut written = spec(&format!("{text}\n[[class]]\nsize = 64\n"));
        written.classes[0].span = default.classes[0].span.clone();
        assert_eq!(written, default, "{key}");
        written_out += 1;
    }
    assert_eq!(written_out, whole.len() + 3, "`layers`, `specialise` and `budget` have defaults that are not derived");
}
