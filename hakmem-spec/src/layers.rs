//! The layer catalogue: the only place that names a layer.
//!
//! Parsing, validation and planning read the table below and nothing else, so another layer is another line in it (and
//! a type of that name in the runtime).

/// The layers a spec may name.
pub static LAYERS: &[LayerKind] = &[
    bounded("unified", "Unified", "bounded list of free blocks, last in first out")
        .per_block("capacity", 16384, 2, 256),
    unbounded("sll", "Sll", "list of any length, spilled at a high-water mark").per_byte("high_water", 32 << 10),
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
    /// What it is, in a line.
    pub summary: &'static str,
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
    /// The greatest value, in its unit; the least is 1.
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
    LayerKind { name, type_name, parameter: None, bounded: true, summary }
}

/// A line of the catalogue: a layer that takes every block.
pub(crate) const fn unbounded(name: &'static str, type_name: &'static str, summary: &'static str) -> LayerKind {
    LayerKind { name, type_name, parameter: None, bounded: false, summary }
}

impl LayerKind {
    /// Adds a parameter in blocks, by default as many as fit `bytes` but from `min` to `max`.
    pub(crate) const fn per_block(self, key: &'static str, bytes: u32, min: u32, max: u32) -> Self {
        let default = SizedDefault { bytes, min, max };
        Self { parameter: Some(Parameter { key, unit: Unit::Blocks, default, max: MAX_LIMIT as u64 }), ..self }
    }

    /// Adds a parameter in bytes, `bytes` by default.
    pub(crate) const fn per_byte(self, key: &'static str, bytes: u32) -> Self {
        let default = SizedDefault { bytes, min: 1, max: MAX_LIMIT };
        Self { parameter: Some(Parameter { key, unit: Unit::Bytes, default, max: 1 << 30 }), ..self }
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
