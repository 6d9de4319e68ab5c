//! Policies: what a spec may ask for beside layers, each in a file of its own and in no binary that does not name it.
//!
//! | key of the spec | here |
//! |---|---|
//! | `refill = "legacy"` | [`legacy`]: what stands in for [`Over`](crate::layers::Over) above `sll` |
//! | `refill = "background"` | [`background`]: what stands on the slabs, and what the worker behind it does |
//! | `free = "deferred"` | [`deferred`]: a layer around the first one |
//! | `header = "region-id"` | [`region_id`]: what the generated paths do on the way in and out |
//! | `stats = true` | [`counted`]: a layer around each |
//! | `background = true` in `[purge]` | [`purger`]: what another worker does |

pub mod background;
pub mod counted;
pub mod deferred;
pub mod legacy;
pub mod purger;
pub mod region_id;
