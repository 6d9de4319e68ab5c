//! What the spec says of a class, as the macro emits it.

use core::fmt;

/// One size class: blocks of `size` bytes, cut from spans of `units` consecutive slabs.
///
/// # Invariants
/// `blocks ≥ 1`, `lead + blocks × size + tail = units × slab size`, `usable ≤ size`, `size % align == 0` and
/// `lead % align == 0`; a span's base is aligned to `align` because a slab's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Class {
    /// Bytes a block.
    pub size: u32,
    /// Bytes of the largest request that it serves: fewer than `size` where each block has a header.
    pub usable: u32,
    /// Bytes that every block's address is a multiple of.
    pub align: u32,
    /// Consecutive slabs that make up one span of this class.
    pub slabs: u32,
    /// Bytes in front of a span's first block: 0, or under `header = "region-id"` the largest power of two that divides its
    /// size, at most a page.
    pub first_block_offset: u32,
    /// Blocks a span.
    pub blocks: u32,
    /// Bytes at the end of a span that hold no block: less than one, but half the span for blocks of 8 bytes, of which a
    /// slab's bitmap can name no more. Address space; nobody touches it.
    pub slack: u32,
    /// Blocks moved by one refill.
    pub batch: u32,
    /// Whether a free by address alone is no hit; see `Heap::owner_tag`.
    pub(crate) apart: bool,
    /// The front layers, first to last, as the spec names them.
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
        Class { size, usable, align, slabs, first_block_offset, blocks, slack, batch, apart: false, layers }
    }

    /// The same in an allocator where blocks of other classes are freed by address alone. For generated code.
    #[doc(hidden)]
    #[must_use]
    pub const fn apart(self) -> Class {
        Class { apart: true, ..self }
    }

    /// Bytes of a block that are wasted on the smallest request served by it, given what the next smaller class serves.
    pub const fn worst_waste(&self, smaller: u32) -> u32 {
        self.size.saturating_sub(smaller).saturating_sub(1)
    }
}

/// The classes of an allocator as a table, one row a class, each with its own waste.
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

    /// The largest request that a class smaller than `size` serves, or 0.
    fn smaller(&self, size: u32) -> u32 {
        self.classes.iter().filter(|class| class.size < size).map(|class| class.usable).max().unwrap_or(0)
    }

    /// The smallest class larger than `size`.
    fn after(&self, size: u32) -> Option<&'static Class> {
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
        while let Some(class) = self.after(size) {
            size = class.size;
            let span = u64::from(class.slabs).wrapping_mul(u64::from(self.slab));
            write!(f, "{:>7} {:>6} {:>9} {:>7} ", class.size, class.align, span / 1024, class.blocks)?;
            f.write_str("    ")?;
            percent(f, class.worst_waste(self.smaller(size)), u64::from(class.size))?;
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
