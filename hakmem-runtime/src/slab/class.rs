//! A size class, as the macro emits it from the spec.

use core::fmt;

/// A size class: blocks of `size` bytes, cut from spans of `slabs` consecutive slabs.
///
/// # Invariants
/// `blocks ≥ 1`, `first_block_offset + blocks × size + slack = slabs × slab size`, `usable ≤ size`, `size % align == 0`
/// and `first_block_offset % align == 0`. A span is aligned to `align` because every slab is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Class {
    /// Bytes per block.
    pub size: u32,
    /// The largest request that the class serves, in bytes: smaller than `size` if blocks have a header.
    pub usable: u32,
    /// The alignment of every block.
    pub align: u32,
    /// Slabs per span.
    pub slabs: u32,
    /// Bytes before a span's first block: 0, or under `header = "region-id"` the largest power of two that divides
    /// `size`, at most a page.
    pub first_block_offset: u32,
    /// Blocks per span.
    pub blocks: u32,
    /// Bytes at the end of a span that hold no block: less than one block, except half of the span if blocks have 8
    /// bytes, as the bitmap has a bit for each 16 bytes. This is address space that is never touched.
    pub slack: u32,
    /// How many blocks a refill moves.
    pub batch: u32,
    /// Whether a free needs the class, although other classes' blocks can be freed by address alone; see
    /// `Heap::owner_id`.
    pub(crate) needs_class: bool,
    /// The names in the spec of its layers, first layer first.
    pub layers: &'static [&'static str],
}

impl Class {
    /// Describes a class. For generated code.
    #[doc(hidden)]
    pub const fn new(
        (size, usable, align): (u32, u32, u32),
        (slabs, first_block_offset, blocks, slack): (u32, u32, u32, u32),
        batch: u32,
        layers: &'static [&'static str],
    ) -> Class {
        Class { size, usable, align, slabs, first_block_offset, blocks, slack, batch, needs_class: false, layers }
    }

    /// Notes that a free needs the class. For generated code.
    #[doc(hidden)]
    #[must_use]
    pub const fn needing_class(self) -> Class {
        Class { needs_class: true, ..self }
    }

    /// Whether a header precedes each block.
    pub(crate) const fn has_header(&self) -> bool {
        self.first_block_offset > 0
    }

    /// The bytes of a block that its smallest request wastes, if the next smaller class serves requests up to `smaller`
    /// bytes.
    pub const fn worst_waste(&self, smaller: u32) -> u32 {
        self.size.saturating_sub(smaller).saturating_sub(1)
    }
}

/// The header of an allocated block of the class at `class_index`, for `header = "region-id"`; every bit of it is flipped
/// when the block is freed.
#[inline(always)]
pub(crate) const fn header_byte(class_index: usize) -> u8 {
    0xA0 | class_index as u8 & 0xF
}

/// The classes of an allocator as a table, with a row for each class, smallest first.
#[derive(Debug, Clone, Copy)]
pub struct ClassTable {
    classes: &'static [Class],
    slab: u32,
}

impl ClassTable {
    /// A table over `classes`, whose slabs have `slab` bytes. For generated code.
    #[doc(hidden)]
    pub const fn new(classes: &'static [Class], slab: u32) -> ClassTable {
        ClassTable { classes, slab }
    }

    /// The largest request that a class with blocks smaller than `size` serves, or 0.
    fn largest_request_below(&self, size: u32) -> u32 {
        self.classes.iter().filter(|class| class.size < size).map(|class| class.usable).max().unwrap_or(0)
    }

    /// The class with the smallest blocks above `size`.
    fn next_larger(&self, size: u32) -> Option<&'static Class> {
        self.classes.iter().filter(|class| class.size > size).min_by_key(|class| class.size)
    }
}

/// Writes `part` of `whole` as a percentage with one decimal.
fn percent(f: &mut fmt::Formatter<'_>, part: u32, whole: u64) -> fmt::Result {
    let permille = u64::from(part).wrapping_mul(1000).checked_div(whole).unwrap_or(0);
    write!(f, "{:>6}.{}%", permille / 10, permille % 10)
}

impl fmt::Display for ClassTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "   size  align  slab KiB  blocks  worst waste     tail  batch  layers")?;
        let mut size = 0;
        while let Some(class) = self.next_larger(size) {
            size = class.size;
            let span = u64::from(class.slabs).wrapping_mul(u64::from(self.slab));
            write!(f, "{:>7} {:>6} {:>9} {:>7} ", class.size, class.align, span / 1024, class.blocks)?;
            f.write_str("    ")?;
            percent(f, class.worst_waste(self.largest_request_below(size)), u64::from(class.size))?;
            f.write_str(" ")?;
            percent(f, class.slack, span)?;
            write!(f, " {:>6}  ", class.batch)?;
            for (position, layer) in class.layers.iter().enumerate() {
                write!(f, "{}{layer}", if position == 0 { "" } else { " → " })?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
