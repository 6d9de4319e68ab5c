//! Geometry, slabs, purging, large blocks.

use crate::assert_error;

#[test]
fn a_superslab_that_is_no_power_of_two() {
    assert_error(
        r"[superslab]
size = '3 MiB'
[[class]]
size = 8
",
        r"
a SuperSlab must be a power of two from 256 KiB to 64 MiB
 --> classes.toml:2:8
  |
2 | size = '3 MiB'
  |        ^^^^^^^ this is 3 MiB
  |
  = help: the nearest are 2 MiB and 4 MiB
",
    );
}

#[test]
fn a_superslab_that_is_too_large() {
    assert_error(
        r"[superslab]
size = '128 MiB'
[[class]]
size = 8
",
        r"
a SuperSlab must be a power of two from 256 KiB to 64 MiB
 --> classes.toml:2:8
  |
2 | size = '128 MiB'
  |        ^^^^^^^^^ this is 128 MiB
  |
  = help: the nearest is 64 MiB
",
    );
}

#[test]
fn a_slab_that_is_too_small() {
    assert_error(
        r"[superslab]
slab = 4096
[[class]]
size = 8
",
        r"
a slab must be a power of two from 16 KiB to 1 MiB
 --> classes.toml:2:8
  |
2 | slab = 4096
  |        ^^^^ this is 4 KiB
  |
  = help: the nearest is 16 KiB
",
    );
}

#[test]
fn too_few_slabs() {
    assert_error(
        r"[superslab]
size = '2 MiB'
slab = '1 MiB'
[[class]]
size = 8
",
        r"
a SuperSlab must hold from 4 to 64 slabs
 --> classes.toml:3:8
  |
3 | slab = '1 MiB'
  |        ^^^^^^^ 2 MiB in slabs of 1 MiB are 2
  |
  = help: with such a SuperSlab, `slab` may be from 32 KiB to 512 KiB
",
    );
}

#[test]
fn too_many_slabs() {
    assert_error(
        r"[superslab]
size = '64 MiB'
[[class]]
size = 8
",
        r#"
a SuperSlab must hold from 4 to 64 slabs
 --> classes.toml:2:8
  |
2 | size = '64 MiB'
  |        ^^^^^^^^ 64 MiB in slabs of 64 KiB are 1024
  |
  = help: with such a SuperSlab, write `slab = "1 MiB"`
"#,
    );
}

#[test]
fn slab_units_of_0() {
    assert_error(
        r"[[class]]
size = 8
slab_units = 0
",
        r"
`slab_units` is out of range
 --> classes.toml:3:14
  |
3 | slab_units = 0
  |              ^ this is 0
  |
  = help: from 1 to 16 is possible
",
    );
}

#[test]
fn slab_units_above_half_a_superslab() {
    assert_error(
        r"[[class]]
size = 8
slab_units = 17
",
        r"
`slab_units` is out of range
 --> classes.toml:3:14
  |
3 | slab_units = 17
  |              ^^ this is 17
  |
  = help: from 1 to 16 is possible
",
    );
}

#[test]
fn slab_units_that_hold_no_block() {
    assert_error(
        r"[[class]]
size = '256 KiB'
slab_units = 3
",
        r"
the slabs of a class must hold at least one block
 --> classes.toml:3:14
  |
3 | slab_units = 3
  |              ^ 192 KiB hold no block of 262144
  |
  = help: at least 4 are needed; left out, it would be 8
",
    );
}

#[test]
fn a_header_needs_room_before_the_first_block() {
    assert_error(
        r"[defaults]
header = 'region-id'
[[class]]
sizes = [64, '512 KiB', '1 MiB']
",
        r#"
a class with a header must be smaller than half a SuperSlab
 --> classes.toml:4:25
  |
4 | sizes = [64, '512 KiB', '1 MiB']
  |                         ^^^^^^^ a span, of at most 1 MiB, has no room for this and a header
  |
  = help: lower it to 1020 KiB or less, write `header = "none"` for this class, or raise `size` in [superslab]
"#,
    );
    assert_error(
        r"[[class]]
size = '128 KiB'
slab_units = 2
header = 'region-id'
",
        r"
the slabs of a class must hold at least one block
 --> classes.toml:3:14
  |
3 | slab_units = 2
  |              ^ 128 KiB hold no block of 131072 and its header
  |
  = help: at least 3 are needed; left out, it would be 9
",
    );
}

#[test]
fn a_delay_of_more_than_a_day() {
    assert_error(
        r"[purge]
delay_ms = 86_400_001
background = true
[[class]]
size = 8
",
        r#"
`delay_ms` is out of range
 --> classes.toml:2:12
  |
2 | delay_ms = 86_400_001
  |            ^^^^^^^^^^ this is 86400001
  |
  = help: from 0 to 86400000, which is a day, is possible, or "never"
"#,
    );
}

#[test]
fn a_background_thread_without_a_delay() {
    assert_error(
        r"[purge]
background = true
delay_ms = 'never'
[[class]]
size = 8
",
        r#"
`background` needs a delay to wait for
 --> classes.toml:2:14
  |
2 | background = true
  |              ^^^^ with `delay_ms = "never"` no memory is returned by itself
  |
  = help: remove this, or write, for example, `delay_ms = 500`
"#,
    );
    assert_error(
        r"[purge]
delay_ms = 0
background = true
[[class]]
size = 8
",
        r"
`background` needs a delay to wait for
 --> classes.toml:3:14
  |
3 | background = true
  |              ^^^^ with `delay_ms = 0` memory is returned as soon as it is freed
  |
  = help: remove this, or write, for example, `delay_ms = 500`
",
    );
}

#[test]
fn a_cache_that_is_too_large() {
    assert_error(
        r"[large]
cache = '17 GiB'
[[class]]
size = 8
",
        r"
`cache` is out of range
 --> classes.toml:2:9
  |
2 | cache = '17 GiB'
  |         ^^^^^^^^ this is 17 GiB
  |
  = help: from 0 to 16 GiB is possible
",
    );
}
