//! The validated model: what a spec says, complete and known to be consistent.

use std::ops::Range;

use crate::layers::LayerKind;
use crate::plan::{MEDIUM_GRAIN, SMALL_GRAIN, SMALL_MAX};

/// The most classes of a spec: a slot is a byte, and 255 means none.
pub const MAX_CLASSES: usize = 254;

/// The greatest alignment of a class: a page, beyond which a block's place in its slab promises nothing.
pub const MAX_ALIGN: u32 = 4096;

/// A valid spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// How address space is cut.
    pub geometry: Geometry,
    /// When empty memory goes back to the system.
    pub purge: Purge,
    /// What is done with blocks above the largest class.
    pub large: Large,
    /// Whether SuperSlabs ask for huge pages.
    pub huge_pages: bool,
    /// Where a thread's front is.
    pub tls: Tls,
    /// The classes, ascending in size; at least one, at most [`MAX_CLASSES`].
    pub classes: Vec<Class>,
}

/// Where a thread's front is, and how code gets there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tls {
    /// An ordinary thread-local: at a known place in an executable, behind a call in a shared library.
    #[default]
    Native,
    /// Beside the thread's heap, behind one word of static thread-local memory: the same code in both.
    InitialExec,
}

/// The sizes of a SuperSlab and of the slabs it is cut in: powers of two, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// The size and alignment of a SuperSlab.
    pub superslab: u32,
    /// The size and alignment of a slab.
    pub slab: u32,
}

impl Geometry {
    /// Slabs in a SuperSlab.
    pub fn slabs(&self) -> u32 {
        self.superslab / self.slab
    }

    /// The most slabs one class's span may take, and in bytes the largest class: half a SuperSlab.
    pub fn max_units(&self) -> u32 {
        self.slabs() / 2
    }

    /// The span of a class of `size` whose spec says nothing of it.
    pub fn shape(&self, size: u32) -> SlabShape {
        crate::shape::derive(*self, size, 0)
    }
}

impl Default for Geometry {
    fn default() -> Self {
        Self { superslab: 2 << 20, slab: 64 << 10 }
    }
}

/// When empty memory goes back to the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purge {
    /// The delay after memory became empty; `None` never.
    pub delay_ms: Option<u32>,
    /// Whether a thread of the allocator's own sees to it.
    pub background: bool,
}

impl Default for Purge {
    fn default() -> Self {
        Self { delay_ms: Some(500), background: false }
    }
}

/// What is done with blocks above the largest class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Large {
    /// The bytes of freed mappings kept for reuse.
    pub cache: u64,
}

impl Default for Large {
    fn default() -> Self {
        Self { cache: 128 << 20 }
    }
}

/// One size class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// The bytes of a block.
    pub size: u32,
    /// The alignment of every block: a power of two from 8 to [`MAX_ALIGN`] that divides the size.
    pub align: u32,
    /// The layers of the thread-local front, in the order in which they are tried.
    pub stack: Vec<LayerUse>,
    /// The blocks of one refill.
    pub batch: u32,
    /// What the generated code may cost, if the spec says so.
    pub budget: Option<Budget>,
    /// Whether the class gets code of its own, in which its numbers are constants.
    pub specialise: bool,
    /// How its first layer is filled from the slabs.
    pub refill: Refill,
    /// When its first layer takes a freed block in.
    pub free: Free,
    /// What stands in front of each block.
    pub header: Header,
    /// Whether its layers count what they do.
    pub stats: bool,
    /// Whether `cargo hakmem tune` must leave it as it is. The generated code knows nothing of it.
    pub pinned: bool,
    /// What its blocks are cut from.
    pub slab: SlabShape,
    /// Where the spec says its size.
    pub span: Range<usize>,
}

impl Class {
    /// The bytes of the largest request it serves: a multiple of the size tables' grain.
    pub fn usable(&self) -> u32 {
        match self.header {
            Header::None => self.size,
            // The last byte of a block is the header of the next.
            Header::RegionId => {
                let grain = if self.size > SMALL_MAX { MEDIUM_GRAIN } else { SMALL_GRAIN };
                (self.size - 1) / grain * grain
            }
        }
    }
}

/// How the slabs fill a front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refill {
    /// A batch from the slab to the layer that asked.
    #[default]
    FrontDirect,
    /// From the slab to `sll`, and from there to the layer that asked.
    Legacy,
    /// From a queue that a thread of the allocator's own keeps filled.
    Background,
}

/// When a freed block reaches the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Free {
    /// At once.
    #[default]
    Immediate,
    /// With 255 others.
    Deferred,
}

/// What stands in front of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Header {
    /// Nothing.
    #[default]
    None,
    /// A byte that names the class and whether the block is allocated.
    RegionId,
}

/// A layer in a class's stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerUse {
    /// The layer.
    pub kind: &'static LayerKind,
    /// The blocks it holds, 1 to 65 535; 0 for a layer without a parameter, whose own code fixes what it holds.
    pub limit: u32,
}

/// The instructions of a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Of an allocation that the first layer serves.
    pub alloc: u32,
    /// Of a free that the first layer takes.
    pub free: u32,
}

/// The span of slabs from which a class's blocks are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlabShape {
    /// Consecutive slabs in the span.
    pub units: u32,
    /// Bytes in front of the first block: room for its header.
    pub lead: u32,
    /// Blocks in the span.
    pub blocks: u32,
    /// Bytes left over at its end.
    pub tail: u32,
}
