//! A proof, at compile time, of what `CompiledSpec` promises of the tables of one allocator: every size and alignment
//! finds the smallest class that serves it, at the place where that class's group looks for its state.
//!
//! Generated code calls [`assert_tables`] in a constant, so a program whose tables are wrong does not compile. Nothing
//! of it is in the program.

use crate::class_offset::{ClassSet, Offsets};
use crate::global_alloc::CompiledSpec;
use crate::groups::Groups;
use crate::size_table::{NO_OFFSET, ROWS, SmallTable};
use crate::slab::class::Class;

/// The tables of an allocator.
#[derive(Debug, Clone, Copy)]
pub struct Tables<'a> {
    /// [`CompiledSpec::small`].
    pub small: &'a SmallTable,
    /// [`CompiledSpec::medium`].
    pub medium: &'a [u16],
    /// [`CompiledSpec::by_size`].
    pub by_size: &'a [u8],
    /// [`CompiledSpec::offsets`].
    pub offsets: &'a [u16],
}

/// Panics if [`fault`] finds one.
pub const fn assert_tables<S: CompiledSpec>(tables: Tables) {
    if let Some(fault) = fault::<S>(tables) {
        panic!("{}", fault);
    }
}

/// What is wrong with the classes of an allocator and its tables; `None`: nothing.
pub const fn fault<S: CompiledSpec>(tables: Tables) -> Option<&'static str> {
    if let Some(fault) = fault_of_classes(S::CLASSES) {
        return Some(fault);
    }
    if let Some(fault) = fault_of_orders::<S>(tables) {
        return Some(fault);
    }
    if let Some(fault) = fault_of_small::<S>(tables) {
        return Some(fault);
    }
    fault_of_medium::<S>(tables)
}

/// The invariants of [`Class`].
const fn fault_of_classes(classes: &[Class]) -> Option<&'static str> {
    let mut index = 0;
    while index < classes.len() {
        let Class { size, usable, align, slabs, first_block_offset, blocks, slack, batch, .. } = classes[index];
        if blocks == 0 || batch == 0 || slabs == 0 {
            return Some("a class has no block in a span, or none in a refill");
        }
        if usable > size || usable == 0 {
            return Some("a class serves requests larger than its blocks, or none");
        }
        if !align.is_power_of_two() || !size.is_multiple_of(align) || !first_block_offset.is_multiple_of(align) {
            return Some("a class has blocks that are not aligned");
        }
        let bytes = first_block_offset as u64 + blocks as u64 * size as u64 + slack as u64;
        if bytes == 0 || !bytes.is_multiple_of(slabs as u64) || !(bytes / slabs as u64).is_power_of_two() {
            return Some("a class has a span that is not its blocks and what is beside them");
        }
        index += 1;
    }
    None
}

/// The order by size, and where the states of the classes are.
const fn fault_of_orders<S: CompiledSpec>(tables: Tables) -> Option<&'static str> {
    let (classes, places) = (S::CLASSES, S::Groups::OFFSETS);
    let Tables { by_size, offsets, .. } = tables;
    if by_size.len() != classes.len() || offsets.len() != classes.len() {
        return Some("a table of classes has not one entry for each class");
    }
    let mut position = 0;
    while position < by_size.len() {
        let class_index = by_size[position] as usize;
        if class_index >= classes.len() {
            return Some("the order by size names a class that does not exist");
        }
        // Strictly ascending, as many as there are: each class is there once.
        if position > 0 && classes[by_size[position - 1] as usize].size >= classes[class_index].size {
            return Some("the order by size does not ascend");
        }
        if offsets[position] == NO_OFFSET || offsets[position] != places[position] {
            return Some("the offset of a class is not where its group keeps it");
        }
        position += 1;
    }
    None
}

/// The first position from `position` on of a class that serves a layout, in the order by size; its length if there is
/// none. A class that does not serve a size serves no larger one, so for sizes that grow a search continues.
const fn next_serving(classes: &[Class], by_size: &[u8], mut position: usize, size: usize, align: usize) -> usize {
    while position < by_size.len() {
        let class = &classes[by_size[position] as usize];
        if class.usable as usize >= size && class.align as usize >= align {
            break;
        }
        position += 1;
    }
    position
}

/// What an entry should be: the offset of the class at a position of the order by size, if it is of `groups`.
const fn expected(offsets: &[u16], by_size: &[u8], position: usize, groups: &Offsets) -> Option<u16> {
    if position == by_size.len() {
        return Some(NO_OFFSET);
    }
    let class_index = by_size[position] as usize;
    if groups[class_index] == offsets[class_index] { Some(offsets[class_index]) } else { None }
}

/// The rows that are looked up: the first, for alignments up to `SMALL_ALIGN`, and those of greater ones.
const fn fault_of_small<S: CompiledSpec>(tables: Tables) -> Option<&'static str> {
    let Tables { small, by_size, offsets, .. } = tables;
    if S::SMALL_MAX.div_ceil(8) >= small[0].len() || !S::SMALL_ALIGN.is_power_of_two() {
        return Some("the table of small sizes is too short");
    }
    let (of_first, of_others) = (S::Small::OFFSETS, S::Aligned::OFFSETS);
    let mut row = 0;
    while row < ROWS {
        let (align, groups) = if row == 0 { (S::SMALL_ALIGN, &of_first) } else { (1 << row, &of_others) };
        let (mut entry, mut position) = (0, 0);
        while (row == 0 || align > S::SMALL_ALIGN) && entry <= S::SMALL_MAX.div_ceil(8) {
            position = next_serving(S::CLASSES, by_size, position, entry * 8, align);
            match expected(offsets, by_size, position, groups) {
                Some(NO_OFFSET) if row == 0 => return Some("a small size has no class"),
                Some(offset) if offset == small[row][entry] => (),
                Some(_) => return Some("a small size has not the smallest class that serves it"),
                None => return Some("a small size has a class of a group that is not looked in"),
            }
            entry += 1;
        }
        row += 1;
    }
    None
}

/// The entries that are looked up: those of sizes above `SMALL_MAX`.
const fn fault_of_medium<S: CompiledSpec>(tables: Tables) -> Option<&'static str> {
    let Tables { medium, by_size, offsets, .. } = tables;
    if next_serving(S::CLASSES, by_size, 0, S::LARGEST + 1, 1) < by_size.len() {
        return Some("a class serves sizes above the largest");
    }
    if S::LARGEST <= S::SMALL_MAX {
        return None;
    }
    let last = S::LARGEST.div_ceil(S::MEDIUM_GRAIN);
    if S::Medium::IS_EMPTY || last >= medium.len() {
        return Some("the table of medium sizes is too short");
    }
    // Named once: each mention in a loop would be another copy for the compiler to make.
    let (classes, groups) = (S::CLASSES, S::Medium::OFFSETS);
    let (mut entry, mut position) = (S::SMALL_MAX / S::MEDIUM_GRAIN + 1, 0);
    while entry <= last {
        position = next_serving(classes, by_size, position, entry * S::MEDIUM_GRAIN, S::MEDIUM_ALIGN);
        match expected(offsets, by_size, position, &groups) {
            Some(NO_OFFSET) => return Some("a medium size has no class"),
            Some(offset) if offset == medium[entry] => (),
            Some(_) => return Some("a medium size has not the smallest class that serves it"),
            None => return Some("a medium size has a class of a group that is not looked in"),
        }
        entry += 1;
    }
    None
}
