//! What does not fit `pages`.

use crate::assert_error;

#[test]
fn legacy_with_pages() {
    assert_error(
        r"[[class]]
size = 64
layers = ['pages']
refill = 'legacy'
",
        r#"
`pages` is not refilled, so `refill` cannot be `legacy`
 --> classes.toml:4:10
  |
4 | refill = 'legacy'
  |          ^^^^^^^^ in the class of 64 it allocates from slabs directly
  |
  = help: write `refill = "front-direct"` for this class
"#,
    );
}

#[test]
fn background_with_pages() {
    assert_error(
        r"[[class]]
size = 64
layers = ['unified', 'pages']
refill = 'background'
",
        r#"
`pages` is not refilled, so `refill` cannot be `background`
 --> classes.toml:4:10
  |
4 | refill = 'background'
  |          ^^^^^^^^^^^^ in the class of 64 it allocates from slabs directly
  |
  = help: write `refill = "front-direct"` for this class
"#,
    );
}

#[test]
fn pages_with_a_long_span() {
    assert_error(
        r"[[class]]
size = 64
layers = ['pages']
slab_units = 2
",
        r"
`pages` needs spans of one slab
 --> classes.toml:4:14
  |
4 | slab_units = 2
  |              ^ these are 2
  |
  = help: write `slab_units = 1`, or give it other layers
",
    );
}

#[test]
fn pages_with_blocks_larger_than_a_slab() {
    assert_error(
        r"[[class]]
size = '128 KiB'
layers = ['pages']
",
        r"
`pages` needs spans of one slab
 --> classes.toml:2:8
  |
2 | size = '128 KiB'
  |        ^^^^^^^^^ the class of 131072 has 4
  |
  = help: give it other layers: 64 KiB hold no block of 131072
",
    );
}

#[test]
fn pages_for_a_class_whose_span_is_derived() {
    assert_error(
        r"[defaults]
layers = ['pages']
[[class]]
sizes = ['8 KiB', '40 KiB']
",
        r"
`pages` needs spans of one slab
 --> classes.toml:4:19
  |
4 | sizes = ['8 KiB', '40 KiB']
  |                   ^^^^^^^^ the class of 40960 has 2
  |
  = help: give it other layers, larger slabs, or `slab_units = 1`
",
    );
}
