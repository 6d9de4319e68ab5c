//! Layers, limits, batches, budgets.

use crate::assert_error;

#[test]
fn no_layers() {
    assert_error(
        r"[[class]]
size = 8
layers = []
",
        r"
`layers` must not be empty
 --> classes.toml:3:10
  |
3 | layers = []
  |          ^^ a class needs at least one
  |
  = help: possible here: ALL_LAYERS
",
    );
}

#[test]
fn a_layer_that_does_not_exist() {
    assert_error(
        r"[[class]]
size = 8
layers = ['unifed', 'sll']
",
        r"
there is no layer `unifed`
 --> classes.toml:3:11
  |
3 | layers = ['unifed', 'sll']
  |           ^^^^^^^^ not in the catalogue
  |
  = help: did you mean `unified`? Possible here: ALL_LAYERS
",
    );
}

#[test]
fn a_layer_unlike_any_other() {
    assert_error(
        r"[defaults]
layers = ['bloom_filter']
[[class]]
size = 8
",
        r"
there is no layer `bloom_filter`
 --> classes.toml:2:11
  |
2 | layers = ['bloom_filter']
  |           ^^^^^^^^^^^^^^ not in the catalogue
  |
  = help: possible here: ALL_LAYERS
",
    );
}

#[test]
fn a_layer_named_twice() {
    assert_error(
        r"[[class]]
size = 8
layers = ['unified', 'unified']
",
        r"
layer `unified` is named twice
 --> classes.toml:3:22
  |
3 | layers = ['unified', 'unified']
  |                      ^^^^^^^^^ the second time here
  |
  = help: a stack has a layer once; remove this one
",
    );
}

#[test]
fn a_layer_that_cannot_be_reached() {
    assert_error(
        r"[[class]]
size = 8
layers = ['sll', 'unified']
",
        r"
layer `unified` can never be reached
 --> classes.toml:3:18
  |
3 | layers = ['sll', 'unified']
  |                  ^^^^^^^^^ `sll` in front of it never refuses a block
  |
  = help: put `sll` last
",
    );
}

#[test]
fn a_wrong_stack_is_not_replaced_by_the_default() {
    assert_error(
        r"[[class]]
size = 8
layers = ['ssl']
batch = 512
unified = { capacity = 600 }
",
        r"
there is no layer `ssl`
 --> classes.toml:3:11
  |
3 | layers = ['ssl']
  |           ^^^^^ not in the catalogue
  |
  = help: did you mean `sll`? Possible here: ALL_LAYERS
",
    );
}

#[test]
fn a_parameter_of_a_layer_not_named() {
    assert_error(
        r"[[class]]
size = 8
layers = ['sll']
unified = { capacity = 4 }
",
        r#"
the class does not use the layer `unified`
 --> classes.toml:4:1
  |
4 | unified = { capacity = 4 }
  | ^^^^^^^ its layers are ["sll"]
  |
  = help: add "unified" to `layers`, or remove this table
"#,
    );
}

#[test]
fn a_capacity_of_0() {
    assert_error(
        r"[[class]]
size = 8
unified = { capacity = 0 }
",
        r"
`capacity` of `unified` is out of range
 --> classes.toml:3:24
  |
3 | unified = { capacity = 0 }
  |                        ^ this is 0
  |
  = help: from 1 to 65535 blocks is possible
",
    );
}

#[test]
fn a_capacity_above_16_bits() {
    assert_error(
        r"[defaults]
unified = { capacity = 65_536 }
[[class]]
sizes = [8, 16]
",
        r"
`capacity` of `unified` is out of range
 --> classes.toml:2:24
  |
2 | unified = { capacity = 65_536 }
  |                        ^^^^^^ this is 65536
  |
  = help: from 1 to 65535 blocks is possible
",
    );
}

#[test]
fn a_high_water_mark_out_of_range() {
    assert_error(
        r"[[class]]
size = 8
sll = { high_water = '2 GiB' }
",
        r"
`high_water` of `sll` is out of range
 --> classes.toml:3:22
  |
3 | sll = { high_water = '2 GiB' }
  |                      ^^^^^^^ this is 2 GiB
  |
  = help: from 1 to 1 GiB is possible
",
    );
}

#[test]
fn a_batch_of_0() {
    assert_error(
        r"[[class]]
size = 8
batch = 0
",
        r"
`batch` is out of range
 --> classes.toml:3:9
  |
3 | batch = 0
  |         ^ this is 0
  |
  = help: from 1 to 1024 is possible
",
    );
}

#[test]
fn a_batch_above_its_field() {
    assert_error(
        r"[[class]]
size = 8
layers = ['sll']
batch = 1025
",
        r"
`batch` is out of range
 --> classes.toml:4:9
  |
4 | batch = 1025
  |         ^^^^ this is 1025
  |
  = help: from 1 to 1024 is possible
",
    );
}

#[test]
fn a_batch_above_the_capacity() {
    assert_error(
        r"[[class]]
size = 8
batch = 257
",
        r"
a batch must fit the first bounded layer
 --> classes.toml:3:9
  |
3 | batch = 257
  |         ^^^ `unified` holds 256 in the class of 8
  |
  = help: lower it, raise the limit of `unified`, or leave `batch` out so that it follows from the size
",
    );
}

#[test]
fn a_default_batch_above_a_derived_capacity_is_one_error() {
    assert_error(
        r"[defaults]
batch = 32
[[class]]
sizes = [8, 512, 1024]
",
        r"
a batch must fit the first bounded layer
 --> classes.toml:2:9
  |
2 | batch = 32
  |         ^^ `unified` holds 16 in the class of 1024
  |
  = help: lower it, raise the limit of `unified`, or leave `batch` out so that it follows from the size
",
    );
}

#[test]
fn a_budget_of_0() {
    assert_error(
        r"[[class]]
size = 8
budget = { alloc = 0, free = 6 }
",
        r"
`alloc` is out of range
 --> classes.toml:3:20
  |
3 | budget = { alloc = 0, free = 6 }
  |                    ^ this is 0
  |
  = help: from 1 to 1000 is possible
",
    );
}

#[test]
fn a_budget_out_of_range() {
    assert_error(
        r"[[class]]
size = 8
budget = { alloc = 5, free = 1001 }
",
        r"
`free` is out of range
 --> classes.toml:3:30
  |
3 | budget = { alloc = 5, free = 1001 }
  |                              ^^^^ this is 1001
  |
  = help: from 1 to 1000 is possible
",
    );
}

#[test]
fn half_a_budget() {
    assert_error(
        r"[[class]]
size = 8
budget = { alloc = 5 }
",
        r"
the budget has no `free`
 --> classes.toml:3:10
  |
3 | budget = { alloc = 5 }
  |          ^^^^^^^^^^^^^ it is missing here
  |
  = help: write, for example, `budget = { alloc = 5, free = 6 }`
",
    );
}
