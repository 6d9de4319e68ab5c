//! The keys that `[defaults]` and `[[class]]` share: stacks, limits, batches, budgets and policies.

use std::ops::Range;

use toml::Spanned;

use crate::diagnostic::Diagnostics;
use crate::layers::{self, LayerKind, Unit};
use crate::model::{Budget, Free, Header, LayerUse, Refill};
use crate::raw::{OrNone, RawParameter, RawPolicy};
use crate::suggest;
use crate::units::format_bytes;

/// The largest batch.
const MAX_BATCH: u64 = 1024;
/// The largest budget, in instructions.
const MAX_BUDGET: u64 = 1000;

/// The keys of one table, each checked by itself. `None`: not written, or wrong and reported.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) stack: Option<Vec<&'static LayerKind>>,
    batch: Option<Spanned<u32>>,
    specialise: Option<bool>,
    budget: Option<OrNone<Budget>>,
    pub(crate) refill: Option<Spanned<Refill>>,
    pub(crate) free: Option<Spanned<Free>>,
    pub(crate) header: Option<Spanned<Header>>,
    stats: Option<bool>,
    parameters: Vec<(&'static LayerKind, u64)>,
}

impl Policy {
    pub(crate) fn new(raw: &RawPolicy, catalogue: &'static [LayerKind], diagnostics: &mut Diagnostics) -> Self {
        let stack = raw.layers.as_ref().and_then(|names| resolve(names, catalogue, diagnostics));
        let batch = raw.batch.as_ref().and_then(|batch| {
            in_range(batch, "batch", 1, MAX_BATCH, diagnostics).map(|blocks| Spanned::new(batch.span(), blocks))
        });
        let budget = raw.budget.as_ref().and_then(|budget| match budget {
            OrNone::None => Some(OrNone::None),
            OrNone::Some(raw) => {
                let alloc = in_range(&raw.alloc, "alloc", 1, MAX_BUDGET, diagnostics);
                let free = in_range(&raw.free, "free", 1, MAX_BUDGET, diagnostics);
                Some(OrNone::Some(Budget { alloc: alloc?, free: free? }))
            }
        });
        let parameters =
            raw.parameters.iter().filter_map(|raw| Some((raw.layer, parameter(raw, diagnostics)?))).collect();
        let specialise = raw.specialise.as_ref().map(|flag| *flag.get_ref());
        let stats = raw.stats.as_ref().map(|flag| *flag.get_ref());
        let (refill, free, header) = (raw.refill.clone(), raw.free.clone(), raw.header.clone());
        Self { stack, batch, specialise, budget, refill, free, header, stats, parameters }
    }

    /// This policy, with what it does not set taken from `defaults`.
    pub(crate) fn or(mut self, defaults: &Self) -> Self {
        self.stack = self.stack.or_else(|| defaults.stack.clone());
        self.batch = self.batch.or_else(|| defaults.batch.clone());
        self.specialise = self.specialise.or(defaults.specialise);
        self.budget = self.budget.or(defaults.budget);
        self.refill = self.refill.or_else(|| defaults.refill.clone());
        self.free = self.free.or_else(|| defaults.free.clone());
        self.header = self.header.or_else(|| defaults.header.clone());
        self.stats = self.stats.or(defaults.stats);
        // The first entry of a layer counts, so those of the class precede the defaults.
        self.parameters.extend_from_slice(&defaults.parameters);
        self
    }

    pub(crate) fn specialise(&self) -> bool {
        self.specialise.unwrap_or(true)
    }

    pub(crate) fn stats(&self) -> bool {
        self.stats.unwrap_or(false)
    }

    pub(crate) fn budget(&self) -> Option<Budget> {
        match self.budget {
            Some(OrNone::Some(budget)) => Some(budget),
            Some(OrNone::None) | None => None,
        }
    }

    /// The layers with their limits for a class of `size`.
    pub(crate) fn limits(&self, size: u32) -> Vec<LayerUse> {
        let limit = |kind: &'static LayerKind| {
            let value = self.parameters.iter().find(|(layer, _)| layer.name == kind.name).map(|(_, value)| *value);
            kind.parameter.map_or(0, |parameter| parameter.limit(value, size))
        };
        self.stack.iter().flatten().map(|kind| LayerUse { kind, limit: limit(kind) }).collect()
    }

    /// The batch of a class of `size`: as written, or as many blocks as a page holds, clamped to 1 to 32. The first
    /// bounded layer that takes part in refills must be able to hold it.
    pub(crate) fn batch(&self, size: u32, stack: &[LayerUse], diagnostics: &mut Diagnostics) -> u32 {
        let bounds = |layer: &&LayerUse| layer.kind.bounded && layer.limit > 0;
        // An inline layer takes no part in refills, unless it is alone.
        let holder = stack.iter().filter(|layer| !layer.kind.inline || stack.len() == 1).find(bounds);
        let Some(batch) = &self.batch else {
            return (4096 / size).clamp(1, 32).min(holder.map_or(u32::MAX, |layer| layer.limit));
        };
        if let Some(LayerUse { kind, limit }) = holder
            && batch.get_ref() > limit
        {
            diagnostics.error(
                batch.span(),
                "a batch must fit the first bounded layer",
                format!("`{}` holds {limit} in the class of {size}", kind.name),
                format!(
                    "lower it, raise the limit of `{}`, or leave `batch` out so that it follows from the size",
                    kind.name
                ),
            );
        }
        *batch.get_ref()
    }
}

/// The layers of a list of names, if they can form a stack.
pub(crate) fn resolve(
    names: &Spanned<Vec<Spanned<String>>>,
    catalogue: &'static [LayerKind],
    diagnostics: &mut Diagnostics,
) -> Option<Vec<&'static LayerKind>> {
    let known = layers::names(catalogue);
    if names.get_ref().is_empty() {
        let help = format!("possible here: {}", suggest::list(&known));
        diagnostics.error(names.span(), "`layers` must not be empty", "a class needs at least one", help);
        return None;
    }
    let mut stack: Vec<&'static LayerKind> = Vec::new();
    let mut correct = true;
    let mut wrong = |span: Range<usize>, message: String, label: String, help: String| {
        diagnostics.error(span, message, label, help);
        correct = false;
    };
    for name in names.get_ref() {
        let (span, name) = (name.span(), name.get_ref());
        let Some(kind) = layers::find(catalogue, name) else {
            let help = suggest::names(name, &known);
            wrong(span, format!("there is no layer `{name}`"), "not in the catalogue".into(), help);
            continue;
        };
        if stack.contains(&kind) {
            let help = "a stack has a layer once; remove this one".into();
            wrong(span, format!("layer `{name}` is named twice"), "the second time here".into(), help);
        } else if let Some(sink) = stack.iter().find(|layer| !layer.bounded) {
            let label = format!("`{}` in front of it never refuses a block", sink.name);
            wrong(span, format!("layer `{name}` can never be reached"), label, format!("put `{}` last", sink.name));
        } else if kind.inline && !stack.is_empty() {
            let label = format!("`{}` stands in front of it", stack[0].name);
            wrong(span, format!("layer `{name}` must be the first"), label, format!("put `{name}` first"));
        }
        stack.push(kind);
    }
    correct.then_some(stack)
}

/// The value in a layer's table. A value out of range is reported and replaced by the largest, which causes no further
/// errors.
fn parameter(raw: &RawParameter, diagnostics: &mut Diagnostics) -> Option<u64> {
    let (value, parameter) = (raw.value.as_ref()?, raw.layer.parameter?);
    if (parameter.min..=parameter.max).contains(value.get_ref()) {
        return Some(*value.get_ref());
    }
    let (found, max) = match parameter.unit {
        Unit::Blocks => (value.get_ref().to_string(), format!("{} blocks", parameter.max)),
        Unit::Bytes => (format_bytes(*value.get_ref()), format_bytes(parameter.max)),
    };
    diagnostics.error(
        value.span(),
        format!("`{}` of `{}` is out of range", parameter.key, raw.layer.name),
        format!("this is {found}"),
        format!("from {} to {max} is possible", parameter.min),
    );
    Some(parameter.max)
}

/// A number that must be within a range; `max` must fit 32 bits.
pub(crate) fn in_range(
    value: &Spanned<u64>,
    key: &str,
    min: u64,
    max: u64,
    diagnostics: &mut Diagnostics,
) -> Option<u32> {
    let number = *value.get_ref();
    if (min..=max).contains(&number) {
        return u32::try_from(number).ok();
    }
    diagnostics.error(
        value.span(),
        format!("`{key}` is out of range"),
        format!("this is {number}"),
        format!("from {min} to {max} is possible"),
    );
    None
}
