//! Sizes and alignments.

use crate::assert_error;

#[test]
fn no_size() {
    assert_error(
        r"[[class]]
batch = 4
",
        r"
the class has no `size`
 --> classes.toml:1:1
  |
1 | [[class]]
  | ^^^^^^^^^ it is missing here
  |
  = help: write, for example, `size = 64` or `sizes = { from = 16, to = 128, step = 16 }`
",
    );
}

#[test]
fn size_and_sizes() {
    assert_error(
        r"[[class]]
size = 8
sizes = [16, 24]
",
        r"
a class has either `size` or `sizes`
 --> classes.toml:3:1
  |
3 | sizes = [16, 24]
  | ^^^^^ `size` is given as well
  |
  = help: keep one of the two, or write two [[class]] entries
",
    );
}

#[test]
fn no_sizes_in_the_list() {
    assert_error(
        r"[[class]]
sizes = []
",
        r"
`sizes` must not be empty
 --> classes.toml:2:9
  |
2 | sizes = []
  |         ^^ this makes no class
  |
  = help: write, for example, `sizes = [64, 96]`
",
    );
}

#[test]
fn a_size_that_is_no_multiple_of_8() {
    assert_error(
        r"[[class]]
size = 20
",
        r"
a class size must be a multiple of 8
 --> classes.toml:2:8
  |
2 | size = 20
  |        ^^ 20 is not
  |
  = help: the nearest are 16 and 24
",
    );
}

#[test]
fn a_size_of_less_than_8() {
    assert_error(
        r"[[class]]
size = 5
",
        r"
a class size must be a multiple of 8
 --> classes.toml:2:8
  |
2 | size = 5
  |        ^ 5 is not
  |
  = help: the nearest is 8
",
    );
}

#[test]
fn a_size_of_0() {
    assert_error(
        r"[[class]]
size = 0
",
        r"
a class size must be a multiple of 8
 --> classes.toml:2:8
  |
2 | size = 0
  |        ^ 0 is not
  |
  = help: the smallest class is 8
",
    );
}

#[test]
fn a_size_above_1024_that_is_no_multiple_of_128() {
    assert_error(
        r"[[class]]
sizes = [1024, 1088]
",
        r"
a class size above 1024 must be a multiple of 128
 --> classes.toml:2:16
  |
2 | sizes = [1024, 1088]
  |                ^^^^ 1088 is not
  |
  = help: the nearest are 1024 and 1152
",
    );
}

#[test]
fn a_range_with_such_a_size_is_one_error() {
    assert_error(
        r"[[class]]
sizes = { from = 960, to = 1216, step = 64 }
",
        r"
a class size above 1024 must be a multiple of 128
 --> classes.toml:2:9
  |
2 | sizes = { from = 960, to = 1216, step = 64 }
  |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 1088 is not
  |
  = help: the nearest are 1024 and 1152
",
    );
}

#[test]
fn a_size_given_twice() {
    assert_error(
        r"[[class]]
size = 64
[[class]]
sizes = [96, 96]
",
        r"
a class size is given twice
 --> classes.toml:4:14
  |
4 | sizes = [96, 96]
  |              ^^ 96 is a class already
  |
  = help: line 4 gives it; remove one of the two
",
    );
}

#[test]
fn a_size_given_twice_elsewhere() {
    assert_error(
        r"[[class]]
sizes = [32, 64]
[[class]]
sizes = { from = 64, to = 128, step = 16 }
",
        r"
a class size is given twice
 --> classes.toml:4:9
  |
4 | sizes = { from = 64, to = 128, step = 16 }
  |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 64 is a class already
  |
  = help: line 2 gives it; remove one of the two
",
    );
}

#[test]
fn sizes_that_descend() {
    assert_error(
        r"[[class]]
size = 64
[[class]]
sizes = { from = 16, to = 48, step = 16 }
",
        r"
class sizes must ascend
 --> classes.toml:4:9
  |
4 | sizes = { from = 16, to = 48, step = 16 }
  |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 16 comes after 64
  |
  = help: move it in front of line 2
",
    );
}

#[test]
fn an_alignment_that_is_no_power_of_two() {
    assert_error(
        r"[[class]]
size = 96
align = 24
",
        r"
`align` must be a power of two from 8 to 4096
 --> classes.toml:3:9
  |
3 | align = 24
  |         ^^ 24 is not
  |
  = help: without it, the alignment is the largest power of two that divides the size
",
    );
}

#[test]
fn an_alignment_above_a_page() {
    assert_error(
        r"[[class]]
size = 8192
align = '8 KiB'
",
        r"
`align` must be a power of two from 8 to 4096
 --> classes.toml:3:9
  |
3 | align = '8 KiB'
  |         ^^^^^^^ 8192 is not
  |
  = help: without it, the alignment is the largest power of two that divides the size
",
    );
}

#[test]
fn a_size_that_is_no_multiple_of_its_alignment() {
    assert_error(
        r"[[class]]
sizes = [64, 104]
align = 16
",
        r"
a class size must be a multiple of its alignment
 --> classes.toml:2:14
  |
2 | sizes = [64, 104]
  |              ^^^ 104 is not a multiple of 16
  |
  = help: write 96 or 112, or `align = 8`
",
    );
}

#[test]
fn a_size_below_its_alignment() {
    assert_error(
        r"[[class]]
size = 64
align = 128
",
        r"
a class size must be a multiple of its alignment
 --> classes.toml:2:8
  |
2 | size = 64
  |        ^^ 64 is not a multiple of 128
  |
  = help: write 128, or `align = 64`
",
    );
}
