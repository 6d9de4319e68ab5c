//! Values of the wrong type.

use crate::assert_error;

#[test]
fn a_string_for_a_boolean() {
    assert_error(
        r"huge_pages = 'yes'
[[class]]
size = 8
",
        r"
`huge_pages` must be true or false
 --> classes.toml:1:14
  |
1 | huge_pages = 'yes'
  |              ^^^^^ this is a string
  |
  = help: write, for example, `huge_pages = true`
",
    );
}

#[test]
fn a_number_for_a_boolean() {
    assert_error(
        r"crash_report = 1
[[class]]
size = 8
",
        r"
`crash_report` must be true or false
 --> classes.toml:1:16
  |
1 | crash_report = 1
  |                ^ this is an integer
  |
  = help: write, for example, `crash_report = true`
",
    );
}

#[test]
fn a_string_for_an_integer() {
    assert_error(
        r"[[class]]
size = 8
batch = '4'
",
        r"
`batch` must be an integer
 --> classes.toml:3:9
  |
3 | batch = '4'
  |         ^^^ this is a string
  |
  = help: write, for example, `batch = 32`
",
    );
}

#[test]
fn a_float_for_bytes() {
    assert_error(
        r"[[class]]
size = 8.0
",
        r"
`size` must be a number of bytes
 --> classes.toml:2:8
  |
2 | size = 8.0
  |        ^^^ this is a float
  |
  = help: write, for example, `size = 64`
",
    );
}

#[test]
fn an_integer_for_a_table() {
    assert_error(
        r"purge = 100
[[class]]
size = 8
",
        r"
`purge` must be a table
 --> classes.toml:1:9
  |
1 | purge = 100
  |         ^^^ this is an integer
  |
  = help: write, for example, `[purge]`
",
    );
}

#[test]
fn a_table_for_an_array() {
    assert_error(
        r"[class]
size = 8
",
        r"
`class` must be an array of tables
 --> classes.toml:1:1
  |
1 | [class]
  | ^^^^^^^ this is a table
  |
  = help: write, for example, `[[class]]`
",
    );
}

#[test]
fn a_table_for_a_number_of_sizes() {
    assert_error(
        r"[[class]]
sizes = 8
",
        r"
`sizes` must be an array or a range
 --> classes.toml:2:9
  |
2 | sizes = 8
  |         ^ this is an integer
  |
  = help: write, for example, `sizes = { from = 16, to = 128, step = 16 }`
",
    );
}

#[test]
fn a_string_for_layers() {
    assert_error(
        r"[[class]]
size = 8
layers = 'sll'
",
        r#"
`layers` must be an array of strings
 --> classes.toml:3:10
  |
3 | layers = 'sll'
  |          ^^^^^ this is a string
  |
  = help: write, for example, `layers = ["unified", "sll"]`
"#,
    );
}

#[test]
fn an_integer_among_layers() {
    assert_error(
        r"[[class]]
size = 8
layers = ['sll', 3]
",
        r#"
`layers` must be an array of strings
 --> classes.toml:3:18
  |
3 | layers = ['sll', 3]
  |                  ^ this is an integer
  |
  = help: write, for example, `layers = ["unified", "sll"]`
"#,
    );
}

#[test]
fn an_integer_for_a_budget() {
    assert_error(
        r"[[class]]
size = 8
budget = 5
",
        r#"
`budget` must be a table or "none"
 --> classes.toml:3:10
  |
3 | budget = 5
  |          ^ this is an integer
  |
  = help: write, for example, `budget = { alloc = 5, free = 6 }`
"#,
    );
}

#[test]
fn a_string_for_background() {
    assert_error(
        r"[purge]
background = 'yes'
[[class]]
size = 8
",
        r"
`background` must be true, false or `with-threads`
 --> classes.toml:2:14
  |
2 | background = 'yes'
  |              ^^^^^ this is a string
  |
  = help: write, for example, `background = true`
",
    );
}

#[test]
fn a_wrong_word_for_a_delay() {
    assert_error(
        r"[purge]
delay_ms = 'nevr'
[[class]]
size = 8
",
        r#"
`delay_ms` must be milliseconds or "never"
 --> classes.toml:2:12
  |
2 | delay_ms = 'nevr'
  |            ^^^^^^ this is a string
  |
  = help: write, for example, `delay_ms = 100`
"#,
    );
}

#[test]
fn a_negative_integer() {
    assert_error(
        r"[[class]]
size = 8
batch = -1
",
        r"
`batch` must not be negative
 --> classes.toml:3:9
  |
3 | batch = -1
  |         ^^ this is less than 0
  |
  = help: write, for example, `batch = 32`
",
    );
}

#[test]
fn an_integer_of_more_than_64_bits() {
    assert_error(
        r"[large]
cache = 0xfffff_ffff_ffff_ffff
[[class]]
size = 8
",
        r#"
`cache` is too large
 --> classes.toml:2:9
  |
2 | cache = 0xfffff_ffff_ffff_ffff
  |         ^^^^^^^^^^^^^^^^^^^^^^ this is more than 64 bits can hold
  |
  = help: write, for example, `cache = "32 MiB"`
"#,
    );
}

#[test]
fn a_unit_that_is_ambiguous() {
    assert_error(
        r"[superslab]
slab = '64 KB'
[[class]]
size = 8
",
        r#"
`slab` must be a number of bytes
 --> classes.toml:2:8
  |
2 | slab = '64 KB'
  |        ^^^^^^^ the unit is not one of B, KiB, MiB, GiB
  |
  = help: write, for example, `slab = "64 KiB"`
"#,
    );
}

#[test]
fn a_quantity_of_more_than_64_bits() {
    assert_error(
        r"[large]
cache = '99999999999 GiB'
[[class]]
size = 8
",
        r#"
`cache` must be a number of bytes
 --> classes.toml:2:9
  |
2 | cache = '99999999999 GiB'
  |         ^^^^^^^^^^^^^^^^^ this is more than 64 bits can hold
  |
  = help: write, for example, `cache = "32 MiB"`
"#,
    );
}

#[test]
fn a_quantity_without_a_number() {
    assert_error(
        r"[large]
cache = 'much'
[[class]]
size = 8
",
        r#"
`cache` must be a number of bytes
 --> classes.toml:2:9
  |
2 | cache = 'much'
  |         ^^^^^^ this does not begin with a whole number
  |
  = help: write, for example, `cache = "32 MiB"`
"#,
    );
}
