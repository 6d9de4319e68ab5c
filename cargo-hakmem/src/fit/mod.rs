//! Fitting the classes of a spec to a profile.
//!
//! ```text
//! demand     how many blocks and bytes each size stands for, from the profile
//! cost       what a class costs in memory
//! optimise   the cheapest classes for each number of them, by dynamic programming
//! evaluate   a profile served by a spec: traffic, waste and misses of each class
//! settings   layers, capacities and specialisation of a class, from its traffic
//! large      whether to keep freed large blocks
//! kept       the entries that tuning replaced, kept as comments in the spec
//! entry      writes sizes and settings into a `[[class]]` entry
//! rewrite    rewrites the text of a spec, with the user's comments
//! tuned      all of it: a spec fitted to a profile
//! ```

pub(crate) mod cost;
pub(crate) mod demand;
mod entry;
pub(crate) mod evaluate;
mod kept;
mod large;
pub(crate) mod optimise;
mod rewrite;
mod settings;
pub(crate) mod tuned;
