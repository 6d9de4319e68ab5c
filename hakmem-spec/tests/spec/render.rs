//! How errors are rendered.

use hakmem_spec::{Diagnostic, Position, Source, parse};

fn diagnostic(span: std::ops::Range<usize>) -> Diagnostic {
    Diagnostic { message: "message".into(), label: "label".into(), help: None, span }
}

#[test]
fn the_gutter_is_as_wide_as_the_line_number() {
    let text = format!("{}[[class]]\nsize = 20\n", "\n".repeat(10));
    let source = Source::file("dir/classes.toml", text);
    assert_eq!(
        parse(&source).unwrap_err()[0].render(&source),
        "
a class size must be a multiple of 8
  --> dir/classes.toml:12:8
   |
12 | size = 20
   |        ^^ 20 is not
   |
   = help: the nearest are 16 and 24"
            .trim_start()
    );
}

#[test]
fn an_inline_spec_counts_from_where_it_begins() {
    let source = Source::inline("src/main.rs", "class = [{ size = 20 },\n  { size = 21 }]", 41, 9);
    let places: Vec<_> = parse(&source)
        .unwrap_err()
        .iter()
        .map(|error| error.render(&source).lines().nth(1).unwrap().trim().to_owned())
        .collect();
    assert_eq!(places, ["--> src/main.rs:41:27", "--> src/main.rs:42:12"]);
}

#[test]
fn columns_are_characters_and_tabs_stay() {
    let source = Source::file("c", "\t'é' = 'ß'\n");
    assert_eq!(diagnostic(8..12).render(&source), "message\n --> c:1:8\n  |\n1 | \t'é' = 'ß'\n  | \t      ^^^ label");
}

#[test]
fn of_several_lines_the_first_is_shown() {
    let source = Source::file("c", "a = [\r\n  1,\r\n]\r\n");
    assert_eq!(diagnostic(4..13).render(&source), "message\n --> c:1:5\n  |\n1 | a = [\n  |     ^ label");
}

#[test]
fn a_span_out_of_the_text_points_at_its_end() {
    for text in ["a = 1", "é", ""] {
        let source = Source::file("c", text);
        let column = text.chars().count() + 1;
        let rendered = diagnostic(900..901).render(&source);
        assert!(rendered.starts_with(&format!("message\n --> c:1:{column}\n")), "{rendered}");
    }
    // The middle of a character counts as its beginning.
    let source = Source::file("c", "é");
    assert_eq!(source.position(1), Position { line: 1, column: 1 });
    assert!(diagnostic(1..2).render(&source).contains(":1:1\n"));
}

#[test]
fn a_label_and_a_help_may_be_missing() {
    let source = Source::file("c", "a");
    let bare = Diagnostic { label: String::new(), ..diagnostic(0..1) };
    assert_eq!(bare.render(&source), "message\n --> c:1:1\n  |\n1 | a\n  | ^");
}
