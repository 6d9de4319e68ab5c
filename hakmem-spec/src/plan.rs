//! From a spec to what the generated code is made of: groups, slots and size tables.

use std::ops::Range;

use crate::layers::LayerKind;
use crate::model::{Class, Free, Header, Refill, Spec};

/// The largest size that [`Plan::small`] covers.
pub const SMALL_MAX: u32 = 1024;
/// A size table's entry where no class qualifies.
pub const NO_SLOT: u8 = u8::MAX;
/// Bytes per entry of the tables up to [`SMALL_MAX`]: classes there are multiples of it.
pub const SMALL_GRAIN: u32 = 8;
/// Bytes per entry of the table above it: classes there are multiples of it.
pub const MEDIUM_GRAIN: u32 = 128;

/// The classes in the order of the generated code, and the tables from a size to its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The classes with the same code, in the order of their smallest class.
    pub groups: Vec<Group>,
    /// The classes, group after group and ascending in each. With one group it is the order of the spec.
    pub slots: Vec<Slot>,
    /// The slot of each class of the spec.
    pub slot_of_class: Vec<usize>,
    /// Sizes to 1024, or to the largest class if that is less, by 8.
    pub small: SizeTable,
    /// The same for requests aligned to 16, 32, 64 and 128.
    pub aligned: [SizeTable; 4],
    /// Sizes to the largest class by 128, if there are classes above 1024. Below 1025 it is right but coarse.
    pub medium: Option<SizeTable>,
}

/// Classes with the same layers and policies, which can share code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Their layers, in the order in which they are tried.
    pub layers: Vec<&'static LayerKind>,
    /// Whether each of them gets code of its own.
    pub specialise: bool,
    /// How their slabs fill the front.
    pub refill: Refill,
    /// When the front takes freed blocks in.
    pub free: Free,
    /// What stands in front of their blocks.
    pub header: Header,
    /// Whether their layers count.
    pub stats: bool,
    /// Their slots.
    pub slots: Range<usize>,
}

/// A class's place in the generated code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The index of the class in [`Spec::classes`].
    pub class: usize,
    /// The index of its group.
    pub group: usize,
    /// The class's size.
    pub size: u32,
    /// The largest request it serves.
    pub usable: u32,
    /// The class's alignment.
    pub align: u32,
}

/// A table from a request's size to the slot that serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeTable {
    /// Bytes per entry: entry `i` is for sizes above `(i - 1) * granularity`, up to `i * granularity`.
    pub granularity: u32,
    /// The alignment that every slot in the table gives.
    pub align: u32,
    /// The slot of the smallest class that is large enough for all sizes of the entry and aligned to
    /// [`align`](Self::align), or [`NO_SLOT`].
    pub entries: Vec<u8>,
}

impl SizeTable {
    /// A table for sizes up to `max`, which the granularity divides.
    fn new(slots: &[Slot], granularity: u32, align: u32, max: u32) -> Self {
        let entry = |i: u32| match smallest(slots, (i * granularity).into(), align.into()) {
            // At most 254 classes: the number fits.
            Some(slot) => slot as u8,
            None => NO_SLOT,
        };
        Self { granularity, align, entries: (0..=max / granularity).map(entry).collect() }
    }

    /// The largest size that the table covers.
    pub fn max_size(&self) -> u32 {
        (self.entries.len() as u32 - 1) * self.granularity
    }

    /// What the generated code finds for a size.
    pub fn slot(&self, size: usize) -> Option<usize> {
        let entry = *self.entries.get(size.div_ceil(self.granularity as usize))?;
        (entry != NO_SLOT).then_some(entry.into())
    }
}

impl Plan {
    /// The plan of a spec.
    pub fn new(spec: &Spec) -> Self {
        let same = |class: &Class, first: &Class| {
            class.specialise == first.specialise
                && (class.refill, class.free) == (first.refill, first.free)
                && (class.header, class.stats) == (first.header, first.stats)
                && class.stack.iter().map(|l| l.kind).eq(first.stack.iter().map(|l| l.kind))
        };
        // The members of each group. Classes ascend, so groups come in the order of their smallest, and so do members.
        let mut members: Vec<Vec<usize>> = Vec::new();
        for (index, class) in spec.classes.iter().enumerate() {
            match members.iter_mut().find(|group| same(class, &spec.classes[group[0]])) {
                Some(group) => group.push(index),
                None => members.push(vec![index]),
            }
        }

        let (mut groups, mut slots) = (Vec::new(), Vec::new());
        let mut slot_of_class = vec![0; spec.classes.len()];
        for (group, members) in members.into_iter().enumerate() {
            let first = &spec.classes[members[0]];
            groups.push(Group {
                layers: first.stack.iter().map(|layer| layer.kind).collect(),
                specialise: first.specialise,
                refill: first.refill,
                free: first.free,
                header: first.header,
                stats: first.stats,
                slots: slots.len()..slots.len() + members.len(),
            });
            for class in members {
                slot_of_class[class] = slots.len();
                let Class { size, align, .. } = spec.classes[class];
                slots.push(Slot { class, group, size, usable: spec.classes[class].usable(), align });
            }
        }

        let largest = slots.iter().map(|slot| slot.usable).max().unwrap_or(0);
        let least_align = |above: u32| slots.iter().filter(|slot| slot.usable > above).map(|slot| slot.align).min();
        let small = |align| SizeTable::new(&slots, SMALL_GRAIN, align, largest.min(SMALL_MAX));
        Self {
            small: small(least_align(0).unwrap_or(SMALL_GRAIN)),
            aligned: [16, 32, 64, 128].map(small),
            medium: (largest > SMALL_MAX)
                .then(|| SizeTable::new(&slots, MEDIUM_GRAIN, least_align(SMALL_MAX).unwrap_or(SMALL_GRAIN), largest)),
            groups,
            slot_of_class,
            slots,
        }
    }

    /// The slot of the smallest class that fits a request, of which the tables are a faster form.
    pub fn slot_for(&self, size: usize, align: usize) -> Option<usize> {
        smallest(&self.slots, size as u64, align as u64)
    }
}

/// The slot of the smallest class of at least a size and an alignment.
fn smallest(slots: &[Slot], size: u64, align: u64) -> Option<usize> {
    let fits = |slot: &Slot| u64::from(slot.usable) >= size && u64::from(slot.align) >= align;
    slots.iter().enumerate().filter(|(_, slot)| fits(slot)).min_by_key(|(_, slot)| slot.size).map(|(index, _)| index)
}
