//! The validated model: a spec with every default filled in, known to be consistent.

use std::fmt;
use std::ops::Range;

use crate::layers::LayerKind;

/// The largest size of the fine-grained size table: [`Plan::small`](crate::Plan::small).
pub const SMALL_MAX: u32 = 1024;

/// Class sizes up to [`SMALL_MAX`] are multiples of this.
pub const SMALL_GRAIN: u32 = 8;

/// Class sizes above [`SMALL_MAX`] are multiples of this.
pub const MEDIUM_GRAIN: u32 = 128;

/// The most classes of a spec: a class index is a byte, and 255 means no class.
pub const MAX_CLASSES: usize = 254;

/// The largest alignment of a class: a page.
pub const MAX_ALIGN: u32 = 4096;

/// A valid spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// How address space is divided.
    pub geometry: Geometry,
    /// When free memory is returned to the system.
    pub purge: Purge,
    /// How requests above the largest class are served.
    pub large: Large,
    /// Whether SuperSlabs and the segments of large blocks ask for huge pages.
    pub huge_pages: bool,
    /// Whether a program that crashes says what it accessed.
    pub crash_report: bool,
    /// Where thread caches are stored.
    pub tls: Tls,
    /// The classes, ascending in size; at least one, at most [`MAX_CLASSES`].
    pub classes: Vec<Class>,
}

impl Spec {
    /// The classes, each with the smallest request that it serves: one byte more than the largest of the class below.
    pub fn classes_with_smallest_request(&self) -> impl Iterator<Item = (&Class, u32)> {
        let below = std::iter::once(0).chain(self.classes.iter().map(Class::usable));
        self.classes.iter().zip(below).map(|(class, below)| (class, below + 1))
    }
}

/// Where a thread cache is stored, and how code reaches it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tls {
    /// In an ordinary thread-local: at a constant offset in an executable, behind a call in a shared library.
    #[default]
    Native,
    /// Beside the thread's heap, reached through one word of static thread-local memory: the same code in an executable
    /// and in a shared library.
    InitialExec,
}

/// The sizes of a SuperSlab and of the slabs that it is divided into: powers of two, in bytes.
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

    /// The most slabs in a span: half a SuperSlab, which in bytes is also the limit of a class's size.
    pub fn max_span_slabs(&self) -> u32 {
        self.slabs() / 2
    }
}

impl Default for Geometry {
    fn default() -> Self {
        Self { superslab: 2 << 20, slab: 64 << 10 }
    }
}

/// When free memory is returned to the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purge {
    /// How long memory must have been free; `None`: it is never returned.
    pub delay_ms: Option<u32>,
    /// Which thread does it.
    pub background: Background,
}

/// Whether a background thread of the allocator purges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Background {
    /// None does: the program's threads purge on their slow paths.
    #[default]
    No,
    /// The first slow path after which memory waits for a purge starts one.
    OnSlowPath,
    /// The program's first call of `pthread_create` starts one.
    WithThreads,
}

impl Default for Purge {
    fn default() -> Self {
        Self { delay_ms: Some(500), background: Background::No }
    }
}

/// How requests above the largest class are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Large {
    /// The most bytes of freed mappings that are kept for reuse.
    pub cache: u64,
}

impl Default for Large {
    fn default() -> Self {
        Self { cache: 1 << 30 }
    }
}

/// One size class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// The bytes of a block.
    pub size: u32,
    /// The alignment of every block: a power of two from 8 to [`MAX_ALIGN`] that divides the size.
    pub align: u32,
    /// The layers of the thread cache, in the order in which they are tried.
    pub stack: Vec<LayerUse>,
    /// The most blocks of one refill.
    pub batch: u32,
    /// The most instructions of its hit paths, if the spec sets a limit.
    pub budget: Option<Budget>,
    /// Whether code is specialised for the class, with its parameters as constants.
    pub specialise: bool,
    /// How its thread cache is refilled from slabs.
    pub refill: Refill,
    /// When a freed block enters its thread cache.
    pub free: Free,
    /// What precedes each block.
    pub header: Header,
    /// Whether its layers count operations.
    pub stats: bool,
    /// Whether `cargo hakmem tune` must leave it as it is. It does not affect the generated code.
    pub pinned: bool,
    /// The shape of its spans.
    pub slab: SlabShape,
    /// Where in the text of the spec its size is written.
    pub span: Range<usize>,
}

impl Class {
    /// The largest request that it serves, in bytes: a multiple of [`SMALL_GRAIN`] or [`MEDIUM_GRAIN`].
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

/// How a thread cache is refilled from slabs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refill {
    /// A batch goes from the slab straight to the layer that missed.
    #[default]
    FrontDirect,
    /// Four batches go from the slab to `sll`, and from there one to the layer that missed.
    Legacy,
    /// A batch is taken from a queue that a background thread of the allocator keeps filled.
    Background,
}

/// When a freed block enters the thread cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Free {
    /// At once.
    #[default]
    Immediate,
    /// In a batch of 256.
    Deferred,
}

/// What precedes a block.
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
    /// The value of its parameter in blocks, 1 to 65,535; 0 for a layer without a parameter.
    pub limit: u32,
}

/// `unified 40`: the name, and the limit if there is one.
impl fmt::Display for LayerUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            0 => f.write_str(self.kind.name),
            limit => write!(f, "{} {limit}", self.kind.name),
        }
    }
}

/// The most instructions of a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// For an allocation that the first layer serves.
    pub alloc: u32,
    /// For a free that the first layer takes.
    pub free: u32,
}

/// The span of slabs from which a class's blocks are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlabShape {
    /// Consecutive slabs in the span.
    pub slabs: u32,
    /// Where the first block begins, in bytes: room for its header.
    pub first_block_offset: u32,
    /// Blocks in the span.
    pub blocks: u32,
    /// Unused bytes after the last block.
    pub slack: u32,
}
