//! What a hit costs, read from the machine code of a built program.
//!
//! [`Binary`] finds functions by their symbols; [`Binary::hit_path`] follows one from its entry to a return and counts;
//! [`Binary::compare`] tells whether another program has the same code.
//! hakmem's own tests hold their committed tables to these counts, and `cargo hakmem asm` shows them to a user.

#![forbid(unsafe_code)]

mod binary;
mod compare;
mod path;

pub use binary::{Binary, Error, Function};
pub use compare::Comparison;
pub use path::{Counts, HitPath, Jumps, Step, Tls};
