//! The pages say what the code does and what was recorded: tables are generated here from the layers' catalogue, the golden
//! tables and the recorded runs; examples, messages and links are checked.
//!
//! `BLESS=1 cargo test --test docs` writes the generated tables.

mod layers;
mod links;
mod page;
mod runs;
mod spec;
