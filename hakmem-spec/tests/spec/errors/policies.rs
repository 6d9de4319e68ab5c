//! Stacks and policies that do not fit each other, and unknown words.

use crate::assert_error;

#[test]
fn ultrahot_after_another_layer() {
    assert_error(
        r"[[class]]
size = 64
layers = ['fast', 'ultrahot', 'sll']
",
        r"
layer `ultrahot` must be the first
 --> classes.toml:3:19
  |
3 | layers = ['fast', 'ultrahot', 'sll']
  |                   ^^^^^^^^^^ `fast` stands in front of it
  |
  = help: put `ultrahot` first
",
    );
}

#[test]
fn a_layer_after_pages() {
    assert_error(
        r"[[class]]
size = 64
layers = ['pages', 'sll']
",
        r"
layer `sll` can never be reached
 --> classes.toml:3:20
  |
3 | layers = ['pages', 'sll']
  |                    ^^^^^ `pages` in front of it never refuses a block
  |
  = help: put `pages` last
",
    );
}

#[test]
fn slots_out_of_range() {
    for slots in ["1", "5"] {
        assert_error(
            &format!("[[class]]\nsize = 64\nlayers = ['ultrahot', 'sll']\nultrahot = {{ slots = {slots} }}\n"),
            &format!(
                r"
`slots` of `ultrahot` is out of range
 --> classes.toml:4:22
  |
4 | ultrahot = {{ slots = {slots} }}
  |                      ^ this is {slots}
  |
  = help: from 2 to 4 blocks is possible
"
            ),
        );
    }
}

#[test]
fn a_ring_above_its_limit() {
    assert_error(
        r"[[class]]
size = 64
layers = ['ring']
ring = { capacity = 1024 }
",
        r"
`capacity` of `ring` is out of range
 --> classes.toml:4:21
  |
4 | ring = { capacity = 1024 }
  |                     ^^^^ this is 1024
  |
  = help: from 1 to 1023 blocks is possible
",
    );
}

#[test]
fn the_other_arrays_have_such_a_limit() {
    for (layer, most) in [("ring", 1023), ("fast", 1023), ("sfc", 1023), ("quarantine", 818)] {
        let text =
            |blocks: u32| format!("[[class]]\nsize = 64\nlayers = ['{layer}']\n{layer} = {{ capacity = {blocks} }}\n");
        assert_eq!(crate::spec(&text(most)).classes[0].stack[0].limit, most);
        let [error] = &crate::errors(&text(most + 1))[..] else { panic!("there is one error") };
        assert!(error.starts_with(&format!("`capacity` of `{layer}` is out of range\n")), "{error}");
    }
}

#[test]
fn a_key_of_another_layer() {
    assert_error(
        r"[[class]]
size = 64
layers = ['pages']
pages = { capacity = 8 }
",
        r"
unknown key `capacity` in `pages`
 --> classes.toml:4:11
  |
4 | pages = { capacity = 8 }
  |           ^^^^^^^^ nothing reads this
  |
  = help: possible here: `pending`
",
    );
}

#[test]
fn a_batch_above_the_layer_after_ultrahot() {
    assert_error(
        r"[[class]]
size = 64
layers = ['ultrahot', 'fast', 'sll']
batch = 33
",
        r"
a batch must fit the first bounded layer
 --> classes.toml:4:9
  |
4 | batch = 33
  |         ^^ `fast` holds 32 in the class of 64
  |
  = help: lower it, raise the limit of `fast`, or leave `batch` out so that it follows from the size
",
    );
}

#[test]
fn legacy_without_sll() {
    assert_error(
        r"[[class]]
size = 64
layers = ['unified']
refill = 'legacy'
",
        r#"
`legacy` refills go through `sll`
 --> classes.toml:4:10
  |
4 | refill = 'legacy'
  |          ^^^^^^^^ the layers of the class of 64 are ["unified"]
  |
  = help: add "sll" to its `layers`, or write `refill = "front-direct"`
"#,
    );
}

#[test]
fn legacy_of_the_defaults_without_sll_in_a_class() {
    assert_error(
        r"[defaults]
refill = 'legacy'
[[class]]
size = 64
[[class]]
size = 128
layers = ['fast']
",
        r#"
`legacy` refills go through `sll`
 --> classes.toml:2:10
  |
2 | refill = 'legacy'
  |          ^^^^^^^^ the layers of the class of 128 are ["fast"]
  |
  = help: add "sll" to its `layers`, or write `refill = "front-direct"`
"#,
    );
}

#[test]
fn a_header_without_room() {
    assert_error(
        r"[defaults]
header = 'region-id'
[[class]]
sizes = [8, 16]
",
        r#"
a class with a header must have at least 16 bytes
 --> classes.toml:2:10
  |
2 | header = 'region-id'
  |          ^^^^^^^^^^^ the class of 8 has no room: the last byte of a block is the next one's header
  |
  = help: write `header = "none"` for this class, or let the classes begin at 16
"#,
    );
}

#[test]
fn an_unknown_refill() {
    assert_error(
        r"[defaults]
refill = 'front_direct'
[[class]]
size = 64
",
        r"
`refill` cannot be `front_direct`
 --> classes.toml:2:10
  |
2 | refill = 'front_direct'
  |          ^^^^^^^^^^^^^^ there is no such policy
  |
  = help: did you mean `front-direct`? Possible here: `front-direct`, `legacy`, `background`
",
    );
}

#[test]
fn an_unknown_free() {
    assert_error(
        r"[[class]]
size = 64
free = 'lazy'
",
        r"
`free` cannot be `lazy`
 --> classes.toml:3:8
  |
3 | free = 'lazy'
  |        ^^^^^^ there is no such policy
  |
  = help: possible here: `immediate`, `deferred`
",
    );
}

#[test]
fn an_unknown_header() {
    assert_error(
        r"[[class]]
size = 64
header = 'region_id'
",
        r"
`header` cannot be `region_id`
 --> classes.toml:3:10
  |
3 | header = 'region_id'
  |          ^^^^^^^^^^^ there is no such policy
  |
  = help: did you mean `region-id`? Possible here: `none`, `region-id`
",
    );
}

#[test]
fn a_boolean_for_a_refill() {
    assert_error(
        r"[[class]]
size = 64
refill = true
",
        r#"
`refill` must be a string
 --> classes.toml:3:10
  |
3 | refill = true
  |          ^^^^ this is a boolean
  |
  = help: write, for example, `refill = "front-direct"`
"#,
    );
}

#[test]
fn a_boolean_for_a_free() {
    assert_error(
        r"[[class]]
size = 64
free = false
",
        r#"
`free` must be a string
 --> classes.toml:3:8
  |
3 | free = false
  |        ^^^^^ this is a boolean
  |
  = help: write, for example, `free = "immediate"`
"#,
    );
}

#[test]
fn an_integer_for_a_header() {
    assert_error(
        r"[[class]]
size = 64
header = 1
",
        r#"
`header` must be a string
 --> classes.toml:3:10
  |
3 | header = 1
  |          ^ this is an integer
  |
  = help: write, for example, `header = "none"`
"#,
    );
}

#[test]
fn a_string_for_stats() {
    assert_error(
        r"[[class]]
size = 64
stats = 'on'
",
        r"
`stats` must be true or false
 --> classes.toml:3:9
  |
3 | stats = 'on'
  |         ^^^^ this is a string
  |
  = help: write, for example, `stats = true`
",
    );
}
