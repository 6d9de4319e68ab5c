//! Which classes waste least for a profile.
//!
//! ```text
//! demand     how much memory each size stands for, from the profile
//! cost       what a class costs: its waste, and a price for being there at all
//! optimise   the cheapest classes, for each number of them: dynamic programming
//! evaluate   what any spec comes to for a profile: classes as the macro's tables choose them
//! settings   layers, capacities and specialisation of a class, from its traffic
//! large      whether freed large blocks are worth keeping
//! rewrite    the spec's text with other classes in it, and the user's comments
//! entry      an entry of it with other sizes and settings
//! kept       what stood there before, which the next tuning begins with
//! ```

pub(crate) mod cost;
pub(crate) mod demand;
pub(crate) mod entry;
pub(crate) mod evaluate;
mod kept;
pub(crate) mod large;
pub(crate) mod optimise;
pub(crate) mod rewrite;
pub(crate) mod settings;
