//! What code generation needs of a spec: groups of classes, the classes in the order of their groups, and size tables.

use std::ops::Range;

use crate::layers::LayerKind;
use crate::model::{Class, Free, Header, MEDIUM_GRAIN, Refill, SMALL_GRAIN, SMALL_MAX, Spec};

/// The alignments with a table of their own: [`Plan::aligned`]. The least is that of C's `malloc`; above it, requests
/// are mostly aligned to a cache line or two.
pub const ALIGNMENTS: [u32; 4] = [16, 32, 64, 128];

/// A size table's entry where no class serves.
pub const NO_CLASS: u8 = u8::MAX;

/// The classes in the order of the generated code, and the tables that map a size to its class.
///
/// A class index, here and in the generated code, is an index into [`classes`](Self::classes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The classes that share code, ordered by their smallest class.
    pub groups: Vec<Group>,
    /// The classes, group after group, ascending within each. If there is one group, this is the order of the spec.
    pub classes: Vec<PlannedClass>,
    /// The class index of each class of [`Spec::classes`].
    pub index_of_class: Vec<usize>,
    /// The largest request that a class serves.
    pub largest: u32,
    /// Sizes up to [`SMALL_MAX`], or up to the largest class if that is less, in steps of [`SMALL_GRAIN`].
    pub small: SizeTable,
    /// The same for requests aligned to each of [`ALIGNMENTS`].
    pub aligned: [SizeTable; ALIGNMENTS.len()],
    /// Sizes up to the largest class in steps of [`MEDIUM_GRAIN`], if there are classes above [`SMALL_MAX`]. Its
    /// entries for sizes up to [`SMALL_MAX`] are correct too, but coarser than those of [`small`](Self::small).
    pub medium: Option<SizeTable>,
}

/// Classes with the same layers and policies, which can share code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Their layers, in the order in which they are tried.
    pub layers: Vec<&'static LayerKind>,
    /// Whether code is specialised for each class.
    pub specialise: bool,
    /// How the thread cache is refilled from slabs.
    pub refill: Refill,
    /// When a freed block enters the thread cache.
    pub free: Free,
    /// What precedes each block.
    pub header: Header,
    /// Whether their layers count operations.
    pub stats: bool,
    /// Their class indices.
    pub classes: Range<usize>,
}

/// A class as the generated code knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedClass {
    /// The index of the class in [`Spec::classes`].
    pub spec_index: usize,
    /// The index of its group in [`Plan::groups`].
    pub group: usize,
    /// The bytes of a block.
    pub size: u32,
    /// The largest request it serves.
    pub usable: u32,
    /// The alignment of every block.
    pub align: u32,
}

/// A table from the size of a request to the class that serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeTable {
    /// Bytes per entry: entry `i` is for sizes above `(i - 1) * granularity`, up to `i * granularity`.
    pub granularity: u32,
    /// The alignment that every class in the table has at least.
    pub align: u32,
    /// The index of the smallest class that is large enough for all sizes of the entry and aligned to
    /// [`align`](Self::align), or [`NO_CLASS`].
    pub entries: Vec<u8>,
}

impl SizeTable {
    /// A table for sizes up to `max`, a multiple of the granularity.
    fn new(classes: &[PlannedClass], granularity: u32, align: u32, max: u32) -> Self {
        let entry = |i: u32| match smallest(classes, (i * granularity).into(), align.into()) {
            // There are at most 254 classes, so the index fits.
            Some(index) => index as u8,
            None => NO_CLASS,
        };
        Self { granularity, align, entries: (0..=max / granularity).map(entry).collect() }
    }

    /// The largest size that the table covers.
    pub fn max_size(&self) -> u32 {
        (self.entries.len() as u32 - 1) * self.granularity
    }

    /// The class index that the generated code finds for a size.
    pub fn class_index(&self, size: usize) -> Option<usize> {
        let entry = *self.entries.get(size.div_ceil(self.granularity as usize))?;
        (entry != NO_CLASS).then_some(entry.into())
    }

    /// The entries run-length encoded: the index of the last entry of each run of equal entries, and their value.
    pub fn runs(&self) -> Vec<(u32, u8)> {
        let mut runs: Vec<(u32, u8)> = Vec::new();
        for (index, &entry) in (0..).zip(&self.entries) {
            match runs.last_mut() {
                Some((last, value)) if *value == entry => *last = index,
                _ => runs.push((index, entry)),
            }
        }
        runs
    }
}

impl Plan {
    /// The plan of a spec.
    pub fn new(spec: &Spec) -> Self {
        let same_code = |class: &Class, first: &Class| {
            class.specialise == first.specialise
                && (class.refill, class.free) == (first.refill, first.free)
                && (class.header, class.stats) == (first.header, first.stats)
                && class.stack.iter().map(|l| l.kind).eq(first.stack.iter().map(|l| l.kind))
        };
        // The members of each group. Classes ascend, so groups are ordered by their smallest class, and members ascend.
        let mut members: Vec<Vec<usize>> = Vec::new();
        for (index, class) in spec.classes.iter().enumerate() {
            match members.iter_mut().find(|group| same_code(class, &spec.classes[group[0]])) {
                Some(group) => group.push(index),
                None => members.push(vec![index]),
            }
        }

        let (mut groups, mut classes) = (Vec::new(), Vec::new());
        let mut index_of_class = vec![0; spec.classes.len()];
        for (group, members) in members.into_iter().enumerate() {
            let first = &spec.classes[members[0]];
            groups.push(Group {
                layers: first.stack.iter().map(|layer| layer.kind).collect(),
                specialise: first.specialise,
                refill: first.refill,
                free: first.free,
                header: first.header,
                stats: first.stats,
                classes: classes.len()..classes.len() + members.len(),
            });
            for spec_index in members {
                index_of_class[spec_index] = classes.len();
                let class = &spec.classes[spec_index];
                let (size, usable, align) = (class.size, class.usable(), class.align);
                classes.push(PlannedClass { spec_index, group, size, usable, align });
            }
        }

        let largest = classes.iter().map(|class| class.usable).max().unwrap_or(0);
        let least_align =
            |above: u32| classes.iter().filter(|class| class.usable > above).map(|class| class.align).min();
        let small = |align| SizeTable::new(&classes, SMALL_GRAIN, align, largest.min(SMALL_MAX));
        Self {
            small: small(least_align(0).unwrap_or(SMALL_GRAIN)),
            aligned: ALIGNMENTS.map(small),
            medium: (largest > SMALL_MAX).then(|| {
                SizeTable::new(&classes, MEDIUM_GRAIN, least_align(SMALL_MAX).unwrap_or(SMALL_GRAIN), largest)
            }),
            groups,
            index_of_class,
            largest,
            classes,
        }
    }

    /// The index of the smallest class that serves a request. The size tables are a faster form of this search.
    pub fn class_for(&self, size: usize, align: usize) -> Option<usize> {
        smallest(&self.classes, size as u64, align as u64)
    }
}

/// The index of the smallest class of at least a size and an alignment.
fn smallest(classes: &[PlannedClass], size: u64, align: u64) -> Option<usize> {
    let fits = |class: &PlannedClass| u64::from(class.usable) >= size && u64::from(class.align) >= align;
    let fitting = classes.iter().enumerate().filter(|(_, class)| fits(class));
    fitting.min_by_key(|(_, class)| class.size).map(|(index, _)| index)
}
