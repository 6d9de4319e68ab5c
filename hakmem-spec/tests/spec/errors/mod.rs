//! The text of each error.

mod geometry;
mod pages;
mod policies;
mod ranges;
mod sizes;
mod stacks;
mod syntax;
mod types;

use crate::errors;

#[test]
fn all_errors_are_reported_in_the_order_of_the_text() {
    let errors = errors(
        "colour = 1\n[superslab]\nslab = 1000\n[defaults]\nbatch = 'x'\n[[class]]\nsize = 20\nalign = 3\n\
         [[class]]\nsizes = [64, 9999, 32]\nlayers = ['sll', 'rang']\n[[class]]\nbudget = { alloc = 0, free = 0 }\n",
    );
    let lines: Vec<_> =
        errors.iter().map(|error| error.lines().take(2).map(str::trim).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            "unknown key `colour` in the spec --> classes.toml:1:1",
            "a slab must be a power of two from 16 KiB to 1 MiB --> classes.toml:3:8",
            "`batch` must be an integer --> classes.toml:5:9",
            "a class size must be a multiple of 8 --> classes.toml:7:8",
            "`align` must be a power of two from 8 to 4096 --> classes.toml:8:9",
            "a class size above 1024 must be a multiple of 128 --> classes.toml:10:14",
            "class sizes must ascend --> classes.toml:10:20",
            "there is no layer `rang` --> classes.toml:11:18",
            "the class has no `size` --> classes.toml:12:1",
            "`alloc` is out of range --> classes.toml:13:20",
            "`free` is out of range --> classes.toml:13:30",
        ]
    );
}
