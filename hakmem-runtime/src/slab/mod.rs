//! A slab: memory cut into blocks of one class, and its metadata, which is kept apart from the blocks. Imports `meta`
//! and `sys`.
//!
//! ```text
//! geometry   regions of slabs: from an address to a slab's metadata and back
//! class      a size class
//! metadata   `Slab`: one slab's metadata
//! bitmap     free blocks as bits; memory that no block was carved from yet
//! holes      pages of a slab in use that go back to the system
//! parked     what another thread takes from a slab while its owner sleeps
//! page_list  free blocks as lists, for the layer `pages`
//! remote     the word through which other threads free blocks, and by which a slab changes owners
//! free_list  a free block, and a list of free blocks
//! batch      free blocks on their way between layers: pointers to them, or a list
//! slab_list  a list of slabs
//! ```

mod batch;
mod bitmap;
pub(crate) mod class;
pub(crate) mod free_list;
pub(crate) mod geometry;
mod holes;
pub(crate) mod metadata;
pub(crate) mod page_list;
pub(crate) mod parked;
pub(crate) mod remote;
pub(crate) mod slab_list;

pub use batch::{Batch, Slot};
pub use free_list::{FreeBlock, FreeList};
pub(crate) use geometry::Geometry;
pub use metadata::Slab;
pub(crate) use metadata::{NO_CLASS, NOBODY};
pub(crate) use slab_list::SlabList;
