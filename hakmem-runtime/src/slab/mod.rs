//! Slabs: blocks of one class, side by side, and everything known about them, kept apart from the blocks.

pub(crate) mod block;
pub(crate) mod class;
pub(crate) mod geometry;
pub(crate) mod metadata;
pub(crate) mod remote;
pub(crate) mod slab_list;

pub(crate) use geometry::Geometry;
pub(crate) use metadata::{NO_CLASS, NOBODY, Slab};
pub(crate) use slab_list::SlabList;
