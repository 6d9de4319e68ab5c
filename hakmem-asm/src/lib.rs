//! Reads the cost of a hit from the machine code of a built program.
//!
//! [`Binary`] finds functions by their symbols; [`Binary::hit_path`] follows one from its entry to a return and counts;
//! [`Binary::compare`] tells whether another program has the same code. hakmem's own tests compare these counts with
//! committed tables, and `cargo hakmem asm` shows them to users.

#![forbid(unsafe_code)]

mod binary;
mod calls;
mod compare;
mod path;

pub use binary::{Binary, Error, Function};
pub use compare::Comparison;
pub use path::{Counts, HitPath, Jumps, Step, Tls};
