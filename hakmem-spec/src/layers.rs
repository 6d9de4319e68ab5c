//! The layer catalogue: the only place that names a layer.
//!
//! Parsing, validation and planning read the table below and nothing else, so another layer is another line in it (and
//! a type of that name in the runtime).

/// The layers a spec may name.
pub static LAYERS: &[LayerKind] = &[
    bounded("unified", "Unified", "list of free blocks, last in first out").per_block("capacity", 16384, 2, 256),
    unbounded("sll", "Sll", "list of any length, spilled at a high-water mark").per_byte("high_water", 32 << 10),
    bounded("ring", "Ring", "ring of pointers, first in first out")
        .per_block("capacity", 8192, 2, 63)
        .array(Array::Ring),
    bounded("fast", "Fast", "small stack of pointers").per_block("capacity", 4096, 2, 32).array(Array::Stack),
    bounded("sfc", "Sfc", "stack of pointers that adapts its size")
        .per_block("capacity", 16384, 2, 256)
        .array(Array::Stack),
    bounded("c23", "C23", "list without a count").per_block("capacity", 16384, 2, 256),
    bounded("ultrahot", "UltraHot", "two to four slots in front of all")
        .slots("slots", 2, 4)
        .array(Array::Stack)
        .ahead(),
    bounded("heapv2", "HeapV2", "two magazines, exchanged with a depot").per_block("capacity", 8192, 2, 64).shares(),
    bounded("hot", "Hot", "run of fresh blocks, then a list").per_block("capacity", 16384, 2, 256),
    unbounded("pages", "Pages", "lists in the slabs themselves").per_block("pending", 16384, 1, 64).in_slabs(),
    bounded("quarantine", "Quarantine", "freed blocks wait, and are looked at before they are used again")
        .per_block("capacity", 16384, 2, 200)
        .array(Array::Queue),
];

/// The stack of a class where neither the class nor `[defaults]` names one.
pub(crate) const DEFAULT_STACK: &[&str] = &["unified", "sll"];

/// The most blocks a layer may hold: limits are stored in 16 bits.
pub(crate) const MAX_LIMIT: u32 = u16::MAX as u32;

/// One mechanism of the thread-local front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerKind {
    /// Its name in a spec.
    pub name: &'static str,
    /// The type of the runtime that implements it.
    pub type_name: &'static str,
    /// What a spec may set, if anything.
    pub parameter: Option<Parameter>,
    /// Whether it refuses a block when it is full. One that never does must be the last of its stack.
    pub bounded: bool,
    /// Whether it stands first and inline, ahead of a layer that does the work.
    pub ahead: bool,
    /// Whether threads share blocks in it, which the runtime may ask for.
    pub shares: bool,
    /// What the type of the runtime is generic over.
    pub arguments: Arguments,
    /// What it is, in a line.
    pub summary: &'static str,
}

/// What a layer's type in the runtime is generic over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arguments {
    /// Nothing.
    None,
    /// Places in an array, enough for the largest limit of a group.
    Array(Array),
    /// The logarithms of the bytes of a slab and of a region, and whether a hit prefetches the next block. Blocks are then found
    /// from their address, which needs classes whose spans are one slab.
    Geometry,
}

/// How many places an array needs for a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Array {
    /// As many.
    Stack,
    /// A power of two above it.
    Ring,
    /// A power of two, a quarter above it or more: for what waits, and what has waited.
    Queue,
}

impl Array {
    /// The most blocks, so that an array takes 8 KiB for each class in each thread.
    const fn most(self) -> u64 {
        match self {
            Array::Stack | Array::Ring => 1023,
            Array::Queue => 818,
        }
    }

    /// The places for `limit` blocks.
    pub fn places(self, limit: u32) -> u32 {
        match self {
            Array::Stack => limit,
            Array::Ring => (limit + 1).next_power_of_two(),
            Array::Queue => (limit + limit.div_ceil(4) + 1).next_power_of_two(),
        }
    }
}

/// The number that bounds a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its key in the layer's table.
    pub key: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// The limit of a class for which it is not set.
    pub default: SizedDefault,
    /// The least value, in its unit.
    pub min: u64,
    /// The greatest value.
    pub max: u64,
}

/// What a parameter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Blocks, whatever their size.
    Blocks,
    /// Bytes, divided by the class's size.
    Bytes,
}

/// A limit that follows from a class's size: as many blocks as fit `bytes`, but from `min` to `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizedDefault {
    /// The bytes to fill.
    pub bytes: u32,
    /// The fewest blocks.
    pub min: u32,
    /// The most blocks.
    pub max: u32,
}

impl Parameter {
    /// The limit, in blocks, that the parameter sets for a class when it is written as `value`, or left out.
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

/// A line of the catalogue: a layer that refuses a block when it is full.
pub(crate) const fn bounded(name: &'static str, type_name: &'static str, summary: &'static str) -> LayerKind {
    let arguments = Arguments::None;
    LayerKind { name, type_name, parameter: None, bounded: true, ahead: false, shares: false, arguments, summary }
}

/// A line of the catalogue: a layer that takes every block.
pub(crate) const fn unbounded(name: &'static str, type_name: &'static str, summary: &'static str) -> LayerKind {
    LayerKind { bounded: false, ..bounded(name, type_name, summary) }
}

impl LayerKind {
    /// Adds a parameter in blocks, by default as many as fit `bytes` but from `min` to `max`.
    pub(crate) const fn per_block(self, key: &'static str, bytes: u32, min: u32, max: u32) -> Self {
        let default = SizedDefault { bytes, min, max };
        let parameter = Parameter { key, unit: Unit::Blocks, default, min: 1, max: MAX_LIMIT as u64 };
        Self { parameter: Some(parameter), ..self }
    }

    /// Adds a parameter in blocks that does not depend on the size: from `min`, which is the default, to `max`.
    pub(crate) const fn slots(self, key: &'static str, min: u32, max: u32) -> Self {
        let default = SizedDefault { bytes: 0, min, max };
        Self {
            parameter: Some(Parameter { key, unit: Unit::Blocks, default, min: min as u64, max: max as u64 }),
            ..self
        }
    }

    /// Adds a parameter in bytes, `bytes` by default.
    pub(crate) const fn per_byte(self, key: &'static str, bytes: u32) -> Self {
        let default = SizedDefault { bytes, min: 1, max: MAX_LIMIT };
        Self { parameter: Some(Parameter { key, unit: Unit::Bytes, default, min: 1, max: 1 << 30 }), ..self }
    }

    /// Says that its state is an array, which bounds the parameter.
    pub(crate) const fn array(self, array: Array) -> Self {
        let parameter = match self.parameter {
            Some(parameter) if parameter.max > array.most() => Some(Parameter { max: array.most(), ..parameter }),
            other => other,
        };
        Self { arguments: Arguments::Array(array), parameter, ..self }
    }

    /// Says that it stands in front of others.
    pub(crate) const fn ahead(self) -> Self {
        Self { ahead: true, ..self }
    }

    /// Says that threads share blocks in it.
    pub(crate) const fn shares(self) -> Self {
        Self { shares: true, ..self }
    }

    /// Says that it keeps blocks in their slabs.
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
    fn no_array_takes_more_than_8_kib() {
        for array in [Array::Stack, Array::Ring, Array::Queue] {
            let most = array.most() as u32;
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
