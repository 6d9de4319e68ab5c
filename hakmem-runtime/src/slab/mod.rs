//! Slabs: blocks of one class, side by side, and everything known about them, kept apart from the blocks.

pub(crate) mod bin;
pub(crate) mod geometry;
pub(crate) mod list;
mod listed;
pub(crate) mod metadata;
pub(crate) mod remote;

pub(crate) use bin::Bin;
pub(crate) use geometry::Geometry;
pub(crate) use list::SlabList;
pub(crate) use metadata::{NO_CLASS, NOBODY, Slab};
