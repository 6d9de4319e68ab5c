//! The catalogue of layers. Nothing else in the parser, the planner and the macro names a layer, except that
//! `refill = "legacy"` needs `sll`.
//!
//! To add a layer, add a line here and a type of that name to the runtime (`docs/ADDING_A_LAYER.md`).

/// The layers that a spec may name.
pub static LAYERS: &[LayerKind] = &[
    bounded("unified", "Unified", "a list, last in first out; when full, it flushes its older half")
        .per_block("capacity", 16384, 2, 256),
    unbounded("sll", "Sll", "a list that takes every block; at its high-water mark, it flushes all to the slabs")
        .per_byte("high_water", 32 << 10),
    bounded("ring", "Ring", "a ring of pointers, first in first out; when full, it flushes its older half")
        .per_block("capacity", 8192, 2, 63)
        .array(Array::Ring),
    bounded("fast", "Fast", "a small stack of pointers; when full, it flushes its older half")
        .per_block("capacity", 4096, 2, 32)
        .array(Array::Stack),
    bounded("sfc", "Sfc", "a stack of pointers that adapts its capacity to the traffic")
        .per_block("capacity", 16384, 2, 256)
        .array(Array::Stack),
    bounded("c23", "C23", "a list without a count; when found too long, it is flushed whole")
        .per_block("capacity", 16384, 2, 256),
    bounded("ultrahot", "UltraHot", "two to four slots of one block each, inline before the next layer")
        .slots("slots", 2, 4)
        .array(Array::Stack)
        .inline(),
    bounded("heapv2", "HeapV2", "two magazines of pointers, exchanged whole with a depot that all threads share")
        .per_block("capacity", 8192, 2, 64),
    bounded("hot", "Hot", "a run of neighbouring blocks to allocate from, and a list of freed ones")
        .per_block("capacity", 16384, 2, 256),
    unbounded("pages", "Pages", "free lists in the slabs; a free finds its slab by masking the address")
        .per_block("pending", 16384, 1, 64)
        .in_slabs(),
    bounded("quarantine", "Quarantine", "a ring of freed blocks, filled with a pattern and checked before reuse")
        .per_block("capacity", 16384, 2, 200)
        .array(Array::Queue),
];

/// The stack of a class where neither the class nor `[defaults]` names one.
pub(crate) const DEFAULT_STACK: &[&str] = &["unified", "sll"];

/// The largest limit of a layer in blocks: limits are stored in 16 bits.
pub(crate) const MAX_LIMIT: u32 = u16::MAX as u32;

/// One kind of layer in a thread cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerKind {
    /// Its name in a spec.
    pub name: &'static str,
    /// The runtime's type that implements it.
    pub type_name: &'static str,
    /// What a spec may set, if anything.
    pub parameter: Option<Parameter>,
    /// Whether it refuses a block when it is full. A layer that never does must be the last of its stack.
    pub bounded: bool,
    /// Whether it must be the first of its stack, where it is tried inline together with the next layer and takes no
    /// part in refills and flushes.
    pub inline: bool,
    /// What its type is generic over.
    pub arguments: Arguments,
    /// What it is, in one line.
    pub summary: &'static str,
}

/// What a layer's type is generic over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arguments {
    /// Nothing.
    None,
    /// The length of an array that serves the largest limit of a group.
    Array(Array),
    /// The base-2 logarithms of the sizes of a slab and of a region, and whether a hit prefetches the next block. Such
    /// a layer finds the slab of a block by masking its address, which requires spans of one slab.
    Geometry,
}

/// How long an array must be for a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Array {
    /// As long as the limit.
    Stack,
    /// The next power of two above the limit.
    Ring,
    /// The next power of two above five quarters of the limit: for blocks in quarantine, and blocks that have left it
    /// and can be reused.
    Queue,
}

impl Array {
    /// The largest limit: an array takes at most 8 KiB for each class in each thread.
    const fn max_limit(self) -> u64 {
        match self {
            Array::Stack | Array::Ring => 1023,
            Array::Queue => 818,
        }
    }

    /// The length of the array for `limit` blocks.
    pub fn places(self, limit: u32) -> u32 {
        match self {
            Array::Stack => limit,
            Array::Ring => (limit + 1).next_power_of_two(),
            Array::Queue => (limit + limit.div_ceil(4) + 1).next_power_of_two(),
        }
    }
}

/// The number that limits what a layer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its key in the layer's table.
    pub key: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// The limit where it is not set.
    pub default: SizedDefault,
    /// The smallest value, in its unit.
    pub min: u64,
    /// The largest value, in its unit.
    pub max: u64,
}

/// What a parameter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Blocks, whatever their size.
    Blocks,
    /// Bytes: the limit is this many divided by the size of the class.
    Bytes,
}

/// A limit that follows from the size of the class: `clamp(bytes / size, min, max)` blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizedDefault {
    /// Bytes of blocks.
    pub bytes: u32,
    /// The fewest blocks.
    pub min: u32,
    /// The most blocks.
    pub max: u32,
}

impl Parameter {
    /// The limit in blocks, at most 65,535, for a class of `size`, where the spec sets the parameter to `value`
    /// or leaves it out.
    pub fn limit(&self, value: Option<u64>, size: u32) -> u32 {
        let blocks = match (value, self.unit) {
            (None, _) => (self.default.bytes / size).clamp(self.default.min, self.default.max).into(),
            (Some(blocks), Unit::Blocks) => blocks,
            (Some(bytes), Unit::Bytes) => bytes / u64::from(size),
        };
        // The clamp bounds it to 16 bits.
        blocks.clamp(1, MAX_LIMIT.into()) as u32
    }
}

/// An entry of the catalogue: a layer that refuses a block when it is full.
pub(crate) const fn bounded(name: &'static str, type_name: &'static str, summary: &'static str) -> LayerKind {
    let arguments = Arguments::None;
    LayerKind { name, type_name, parameter: None, bounded: true, inline: false, arguments, summary }
}

/// An entry of the catalogue: a layer that takes every block.
pub(crate) const fn unbounded(name: &'static str, type_name: &'static str, summary: &'static str) -> LayerKind {
    LayerKind { bounded: false, ..bounded(name, type_name, summary) }
}

impl LayerKind {
    /// Adds a parameter in blocks, by default `clamp(bytes / size, min, max)`.
    pub(crate) const fn per_block(self, key: &'static str, bytes: u32, min: u32, max: u32) -> Self {
        let default = SizedDefault { bytes, min, max };
        let parameter = Parameter { key, unit: Unit::Blocks, default, min: 1, max: MAX_LIMIT as u64 };
        Self { parameter: Some(parameter), ..self }
    }

    /// Adds a parameter in blocks whose default does not depend on the size: from `min`, the default, to `max`.
    pub(crate) const fn slots(self, key: &'static str, min: u32, max: u32) -> Self {
        let default = SizedDefault { bytes: 0, min, max };
        Self {
            parameter: Some(Parameter { key, unit: Unit::Blocks, default, min: min as u64, max: max as u64 }),
            ..self
        }
    }

    /// Adds a parameter in bytes, `bytes` by default: up to 1 GiB, but no more than 65,535 blocks.
    pub(crate) const fn per_byte(self, key: &'static str, bytes: u32) -> Self {
        let default = SizedDefault { bytes, min: 1, max: MAX_LIMIT };
        Self { parameter: Some(Parameter { key, unit: Unit::Bytes, default, min: 1, max: 1 << 30 }), ..self }
    }

    /// Its state is an array, which limits the parameter.
    pub(crate) const fn array(self, array: Array) -> Self {
        let parameter = match self.parameter {
            Some(parameter) if parameter.max > array.max_limit() => {
                Some(Parameter { max: array.max_limit(), ..parameter })
            }
            other => other,
        };
        Self { arguments: Arguments::Array(array), parameter, ..self }
    }

    /// It is tried inline, together with the next layer.
    pub(crate) const fn inline(self) -> Self {
        Self { inline: true, ..self }
    }

    /// It keeps free blocks in their slabs.
    pub(crate) const fn in_slabs(self) -> Self {
        Self { arguments: Arguments::Geometry, ..self }
    }
}

/// The names of a catalogue.
pub(crate) fn names(catalogue: &'static [LayerKind]) -> Vec<&'static str> {
    catalogue.iter().map(|kind| kind.name).collect()
}

/// The layer of a name.
pub(crate) fn find(catalogue: &'static [LayerKind], name: &str) -> Option<&'static LayerKind> {
    catalogue.iter().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_the_default_stack_is_in_the_catalogue() {
        for (i, kind) in LAYERS.iter().enumerate() {
            assert!(LAYERS[..i].iter().all(|other| other.name != kind.name && other.type_name != kind.type_name));
        }
        assert!(DEFAULT_STACK.iter().all(|name| find(LAYERS, name).is_some()));
    }

    #[test]
    fn summaries_are_noun_phrases_of_one_line() {
        for LayerKind { name, summary, .. } in LAYERS {
            assert!(!summary.contains('\n') && !summary.ends_with('.') && summary.len() <= 90, "{name}: {summary}");
            assert!(!summary.starts_with(char::is_uppercase) && !summary.contains('|'), "{name}: {summary}");
        }
    }

    #[test]
    fn no_array_takes_more_than_8_kib() {
        for array in [Array::Stack, Array::Ring, Array::Queue] {
            let most = array.max_limit() as u32;
            assert!(array.places(most) <= 1024 && array.places(most) > most - 1, "{array:?}");
        }
        assert_eq!([1, 200, 204, 205].map(|limit| Array::Queue.places(limit)), [4, 256, 256, 512]);
    }

    #[test]
    fn limits_are_blocks() {
        let blocks = bounded("a", "A", "").per_block("capacity", 16384, 2, 256).parameter.unwrap();
        assert_eq!(blocks.limit(None, 8), 256);
        assert_eq!(blocks.limit(None, 256), 64);
        assert_eq!(blocks.limit(None, 65_536), 2);
        assert_eq!(blocks.limit(Some(7), 65_536), 7);
        let bytes = unbounded("b", "B", "").per_byte("high_water", 32 << 10).parameter.unwrap();
        assert_eq!(bytes.limit(None, 8), 4096);
        assert_eq!(bytes.limit(None, 65_536), 1);
        assert_eq!(bytes.limit(Some(65_536), 64), 1024);
        assert_eq!(bytes.limit(Some(1 << 30), 8), MAX_LIMIT);
    }
}
