//! Ranges of sizes.

use crate::assert_error;

#[test]
fn a_range_without_an_end() {
    assert_error(
        r"[[class]]
sizes = { from = 16, step = 8 }
",
        r"
the range has no `to`
 --> classes.toml:2:9
  |
2 | sizes = { from = 16, step = 8 }
  |         ^^^^^^^^^^^^^^^^^^^^^^^ it is missing here
  |
  = help: write, for example, `sizes = { from = 16, to = 128, step = 16 }`
",
    );
}

#[test]
fn a_range_without_a_step() {
    assert_error(
        r"[[class]]
sizes = { from = 16, to = 64 }
",
        r"
a range has either `step` or `steps_per_doubling`
 --> classes.toml:2:9
  |
2 | sizes = { from = 16, to = 64 }
  |         ^^^^^^^^^^^^^^^^^^^^^^ this has neither
  |
  = help: write, for example, `sizes = { from = 16, to = 128, step = 16 }`
",
    );
}

#[test]
fn a_range_with_both_steps() {
    assert_error(
        r"[[class]]
sizes = { from = 16, to = 64, step = 8, steps_per_doubling = 2 }
",
        r"
a range has either `step` or `steps_per_doubling`
 --> classes.toml:2:9
  |
2 | sizes = { from = 16, to = 64, step = 8, steps_per_doubling = 2 }
  |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ this has both
  |
  = help: write, for example, `sizes = { from = 16, to = 128, step = 16 }`
",
    );
}

#[test]
fn a_range_that_descends() {
    assert_error(
        r"[[class]]
sizes = { from = 64, to = 16, step = 8 }
",
        r"
a range must ascend
 --> classes.toml:2:18
  |
2 | sizes = { from = 64, to = 16, step = 8 }
  |                  ^^ `to` is 16
  |
  = help: exchange `from` and `to`
",
    );
}

#[test]
fn a_range_that_begins_off_the_grid() {
    assert_error(
        r"[[class]]
sizes = { from = 12, to = 64, step = 8 }
",
        r"
a range must begin with a multiple of 8
 --> classes.toml:2:18
  |
2 | sizes = { from = 12, to = 64, step = 8 }
  |                  ^^ 12 is not
  |
  = help: the nearest are 8 and 16
",
    );
}

#[test]
fn a_linear_range_that_ends_off_its_grid() {
    assert_error(
        r"[[class]]
sizes = { from = 16, to = 100, step = 16 }
",
        r"
a range must end with one of its members
 --> classes.toml:2:27
  |
2 | sizes = { from = 16, to = 100, step = 16 }
  |                           ^^^ the members next to 100 are 96 and 112
  |
  = help: write `to = 96` or `to = 112`
",
    );
}

#[test]
fn a_geometric_range_that_begins_off_its_grid() {
    assert_error(
        r"[[class]]
sizes = { from = 136, to = 1024, steps_per_doubling = 4 }
",
        r"
a range must begin with one of its members
 --> classes.toml:2:18
  |
2 | sizes = { from = 136, to = 1024, steps_per_doubling = 4 }
  |                  ^^^ the members next to 136 are 128 and 160
  |
  = help: write `from = 128` or `from = 160`
",
    );
}

#[test]
fn a_geometric_range_that_ends_off_its_grid() {
    assert_error(
        r"[[class]]
sizes = { from = 128, to = 1000, steps_per_doubling = 4 }
",
        r"
a range must end with one of its members
 --> classes.toml:2:28
  |
2 | sizes = { from = 128, to = 1000, steps_per_doubling = 4 }
  |                            ^^^^ the members next to 1000 are 896 and 1024
  |
  = help: write `to = 896` or `to = 1024`
",
    );
}

#[test]
fn a_step_of_0() {
    assert_error(
        r"[[class]]
sizes = { from = 16, to = 64, step = 0 }
",
        r"
`step` must be a multiple of 8
 --> classes.toml:2:38
  |
2 | sizes = { from = 16, to = 64, step = 0 }
  |                                      ^ 0 is not
  |
  = help: the nearest is 8
",
    );
}

#[test]
fn a_step_that_is_no_multiple_of_8() {
    assert_error(
        r"[[class]]
sizes = { from = 16, to = 64, step = 12 }
",
        r"
`step` must be a multiple of 8
 --> classes.toml:2:38
  |
2 | sizes = { from = 16, to = 64, step = 12 }
  |                                      ^^ 12 is not
  |
  = help: the nearest are 8 and 16
",
    );
}

#[test]
fn steps_that_do_not_divide() {
    assert_error(
        r"[[class]]
sizes = { from = 128, to = 1024, steps_per_doubling = 3 }
",
        r"
`steps_per_doubling` must be a power of two
 --> classes.toml:2:55
  |
2 | sizes = { from = 128, to = 1024, steps_per_doubling = 3 }
  |                                                       ^ 3 does not divide the powers of two in equal steps
  |
  = help: write 1, 2, 4 or 8
",
    );
}

#[test]
fn steps_that_are_too_fine() {
    assert_error(
        r"[[class]]
sizes = { from = 16, to = 1024, steps_per_doubling = 4 }
",
        r"
the steps of a range must be multiples of 8
 --> classes.toml:2:54
  |
2 | sizes = { from = 16, to = 1024, steps_per_doubling = 4 }
  |                                                      ^ 4 steps from 16 to 32 are not
  |
  = help: at most 2 fit there; a range of smaller sizes is better written with `step = 8`
",
    );
}

#[test]
fn too_many_classes() {
    assert_error(
        r"[[class]]
sizes = { from = 8, to = 1024, step = 8 }
[[class]]
sizes = { from = 1152, to = 17280, step = 128 }
",
        r"
a spec may have at most 254 classes
 --> classes.toml:4:9
  |
4 | sizes = { from = 1152, to = 17280, step = 128 }
  |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the class of 17280 would be one more
  |
  = help: space the sizes further apart
",
    );
}

#[test]
fn a_range_of_billions() {
    assert_error(
        r"[[class]]
sizes = { from = 128, to = 0x7fff_ffff_ffff_ff80, step = 128 }
",
        r"
a spec may have at most 254 classes
 --> classes.toml:2:9
  |
2 | sizes = { from = 128, to = 0x7fff_ffff_ffff_ff80, step = 128 }
  |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the class of 32640 would be one more
  |
  = help: space the sizes further apart
",
    );
}

#[test]
fn a_class_above_half_a_superslab() {
    assert_error(
        r"[[class]]
size = '1152 KiB'
",
        r"
a class may be at most half a SuperSlab
 --> classes.toml:2:8
  |
2 | size = '1152 KiB'
  |        ^^^^^^^^^^ 1152 KiB is more than 1 MiB
  |
  = help: lower it, or raise `size` in [superslab]; requests above the largest class are mapped on their own
",
    );
}

#[test]
fn a_class_above_32_bits() {
    assert_error(
        r"[superslab]
size = '64 MiB'
slab = '1 MiB'
[[class]]
size = '4 GiB'
",
        r"
a class may be at most half a SuperSlab
 --> classes.toml:5:8
  |
5 | size = '4 GiB'
  |        ^^^^^^^ 4 GiB is more than 32 MiB
  |
  = help: lower it, or raise `size` in [superslab]; requests above the largest class are mapped on their own
",
    );
}
