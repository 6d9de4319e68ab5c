//! The text as TOML, and its keys.

use crate::assert_error;

#[test]
fn text_that_is_not_toml() {
    assert_error(
        r"[[class]]
size = = 8
",
        r"
the spec is not valid TOML
 --> classes.toml:2:8
  |
2 | size = = 8
  |        ^ extra `=`, expected nothing
  |
  = help: the syntax is described at https://toml.io

the spec is not valid TOML
 --> classes.toml:2:10
  |
2 | size = = 8
  |          ^ unexpected key or value, expected newline, `#`
  |
  = help: the syntax is described at https://toml.io
",
    );
}

#[test]
fn what_the_toml_parser_recovers_is_not_checked() {
    assert_error(
        r"[[class]
size = 20
batch = 1 2
",
        r"
the spec is not valid TOML
 --> classes.toml:1:9
  |
1 | [[class]
  |         ^ unclosed array table, expected `]`
  |
  = help: the syntax is described at https://toml.io
",
    );
}

#[test]
fn a_key_given_twice() {
    assert_error(
        r"[[class]]
size = 8
size = 16
",
        r"
the spec is not valid TOML
 --> classes.toml:3:1
  |
3 | size = 16
  | ^^^^ duplicate key
  |
  = help: the syntax is described at https://toml.io
",
    );
}

#[test]
fn an_unterminated_string() {
    assert_error(
        r#"[superslab]
size = "2 MiB
"#,
        r#"
the spec is not valid TOML
 --> classes.toml:2:14
  |
2 | size = "2 MiB
  |              ^ invalid basic string, expected `"`
  |
  = help: the syntax is described at https://toml.io
"#,
    );
}

#[test]
fn an_empty_spec() {
    assert_error(
        "",
        r"
a spec needs at least one class
 --> classes.toml:1:1
  |
1 |
  | ^ this has none
  |
  = help: write, for example, `[[class]]` and, on the next line, `size = 64`
",
    );
}

#[test]
fn a_spec_without_classes() {
    assert_error(
        r"huge_pages = true
",
        r"
a spec needs at least one class
 --> classes.toml:1:1
  |
1 | huge_pages = true
  | ^ this has none
  |
  = help: write, for example, `[[class]]` and, on the next line, `size = 64`
",
    );
}

#[test]
fn an_unknown_section() {
    assert_error(
        r"[superslap]
size = '2 MiB'
[[class]]
size = 8
",
        r"
unknown key `superslap` in the spec
 --> classes.toml:1:2
  |
1 | [superslap]
  |  ^^^^^^^^^ nothing reads this
  |
  = help: did you mean `superslab`? Possible here: `huge_pages`, `crash_report`, `tls`, `superslab`, `purge`, `large`, `defaults`, `class`
",
    );
}

#[test]
fn an_unknown_key_of_a_section() {
    assert_error(
        r"[purge]
delay = 100
[[class]]
size = 8
",
        r"
unknown key `delay` in `purge`
 --> classes.toml:2:1
  |
2 | delay = 100
  | ^^^^^ nothing reads this
  |
  = help: possible here: `delay_ms`, `background`
",
    );
}

#[test]
fn an_unknown_key_of_a_class() {
    assert_error(
        r"[[class]]
size = 8
bacth = 4
",
        r"
unknown key `bacth` in [[class]]
 --> classes.toml:3:1
  |
3 | bacth = 4
  | ^^^^^ nothing reads this
  |
  = help: did you mean `batch`? Possible here: `size`, `sizes`, `align`, `slab_units`, `pinned`, `layers`, `batch`, `specialise`, `budget`, `refill`, `free`, `header`, `stats`, ALL_LAYERS
",
    );
}

#[test]
fn an_unknown_key_of_the_defaults() {
    assert_error(
        r"[defaults]
specialize = false
[[class]]
size = 8
",
        r"
unknown key `specialize` in [defaults]
 --> classes.toml:2:1
  |
2 | specialize = false
  | ^^^^^^^^^^ nothing reads this
  |
  = help: did you mean `specialise`? Possible here: `layers`, `batch`, `specialise`, `budget`, `refill`, `free`, `header`, `stats`, ALL_LAYERS
",
    );
}

#[test]
fn a_key_of_a_class_in_the_defaults() {
    assert_error(
        r"[defaults]
slab_units = 2
[[class]]
size = 8
",
        r"
unknown key `slab_units` in [defaults]
 --> classes.toml:2:1
  |
2 | slab_units = 2
  | ^^^^^^^^^^ nothing reads this
  |
  = help: possible here: `layers`, `batch`, `specialise`, `budget`, `refill`, `free`, `header`, `stats`, ALL_LAYERS
",
    );
}

#[test]
fn an_unknown_key_of_a_range() {
    assert_error(
        r"[[class]]
sizes = { from = 8, to = 64, stride = 8, step = 8 }
",
        r"
unknown key `stride` in `sizes`
 --> classes.toml:2:30
  |
2 | sizes = { from = 8, to = 64, stride = 8, step = 8 }
  |                              ^^^^^^ nothing reads this
  |
  = help: possible here: `from`, `to`, `step`, `steps_per_doubling`
",
    );
}

#[test]
fn an_unknown_key_of_a_layer() {
    assert_error(
        r"[[class]]
size = 8
unified = { capacty = 4 }
",
        r"
unknown key `capacty` in `unified`
 --> classes.toml:3:13
  |
3 | unified = { capacty = 4 }
  |             ^^^^^^^ nothing reads this
  |
  = help: did you mean `capacity`? Possible here: `capacity`
",
    );
}

#[test]
fn an_unknown_key_of_a_budget() {
    assert_error(
        r"[[class]]
size = 8
budget = { alloc = 5, free = 6, realloc = 7 }
",
        r"
unknown key `realloc` in `budget`
 --> classes.toml:3:33
  |
3 | budget = { alloc = 5, free = 6, realloc = 7 }
  |                                 ^^^^^^^ nothing reads this
  |
  = help: did you mean `alloc`? Possible here: `alloc`, `free`
",
    );
}
