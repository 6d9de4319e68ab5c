//! From TOML to a syntax tree: every key is known, and every value has the right type and its span in the text.
//!
//! Whether values are in range and fit together is checked by [`crate::validate`].

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::Diagnostics;
use crate::layers::{self, LayerKind};
use crate::model::{Background, Free, Header, Refill, Tls};
use crate::read::{Reader, Value};
use crate::source::Source;

/// A spec as written.
#[derive(Debug, Default)]
pub(crate) struct RawSpec {
    pub(crate) huge_pages: Option<Spanned<bool>>,
    pub(crate) crash_report: Option<Spanned<bool>>,
    pub(crate) tls: Option<Spanned<Tls>>,
    pub(crate) superslab: Option<Spanned<u64>>,
    pub(crate) slab: Option<Spanned<u64>>,
    pub(crate) delay_ms: Option<Spanned<OrNone<u64>>>,
    pub(crate) purge_background: Option<Spanned<Background>>,
    pub(crate) cache: Option<Spanned<u64>>,
    pub(crate) defaults: RawPolicy,
    pub(crate) classes: Vec<RawClass>,
}

/// A value, or a word that means none, such as `delay_ms = "never"`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OrNone<T> {
    None,
    Some(T),
}

/// The keys that `[defaults]` and `[[class]]` share.
#[derive(Debug, Default)]
pub(crate) struct RawPolicy {
    pub(crate) layers: Option<Spanned<Vec<Spanned<String>>>>,
    pub(crate) batch: Option<Spanned<u64>>,
    pub(crate) specialise: Option<Spanned<bool>>,
    pub(crate) budget: Option<OrNone<RawBudget>>,
    pub(crate) refill: Option<Spanned<Refill>>,
    pub(crate) free: Option<Spanned<Free>>,
    pub(crate) header: Option<Spanned<Header>>,
    pub(crate) stats: Option<Spanned<bool>>,
    pub(crate) parameters: Vec<RawParameter>,
}

#[derive(Debug, Clone)]
pub(crate) struct RawBudget {
    pub(crate) alloc: Spanned<u64>,
    pub(crate) free: Spanned<u64>,
}

/// A table named after a layer.
#[derive(Debug)]
pub(crate) struct RawParameter {
    pub(crate) layer: &'static LayerKind,
    pub(crate) name_span: Range<usize>,
    pub(crate) value: Option<Spanned<u64>>,
}

#[derive(Debug)]
pub(crate) struct RawClass {
    /// `None`: wrong, and reported.
    pub(crate) sizes: Option<RawSizes>,
    pub(crate) align: Option<Spanned<u64>>,
    pub(crate) slab_units: Option<Spanned<u64>>,
    pub(crate) pinned: Option<Spanned<bool>>,
    pub(crate) policy: RawPolicy,
}

/// The sizes of a `[[class]]` entry.
#[derive(Debug)]
pub(crate) enum RawSizes {
    List(Vec<Spanned<u64>>),
    Range { span: Range<usize>, from: Spanned<u64>, to: Spanned<u64>, spacing: Spacing },
}

/// The spacing of the members of a range.
#[derive(Debug)]
pub(crate) enum Spacing {
    Step(Spanned<u64>),
    StepsPerDoubling(Spanned<u64>),
}

/// Reads the syntax tree. `None`: the text is not TOML. Errors may be reported in either case.
pub(crate) fn read(source: &Source, catalogue: &'static [LayerKind], diagnostics: &mut Diagnostics) -> Option<RawSpec> {
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    if errors.is_empty() {
        return Some(Reader { catalogue, diagnostics }.spec(document.get_ref()));
    }
    for error in errors {
        let span = error.span().unwrap_or(source.text.len()..source.text.len());
        diagnostics.error(
            span,
            "the spec is not valid TOML",
            error.message(),
            "the syntax is described at https://toml.io",
        );
    }
    None
}

const SPEC_KEYS: &[&str] = &["huge_pages", "crash_report", "tls", "superslab", "purge", "large", "defaults", "class"];
const POLICY_KEYS: &[&str] = &["layers", "batch", "specialise", "budget", "refill", "free", "header", "stats"];
const REFILLS: &[(&str, Refill)] =
    &[("front-direct", Refill::FrontDirect), ("legacy", Refill::Legacy), ("background", Refill::Background)];
const FREES: &[(&str, Free)] = &[("immediate", Free::Immediate), ("deferred", Free::Deferred)];
const HEADERS: &[(&str, Header)] = &[("none", Header::None), ("region-id", Header::RegionId)];
const TLS: &[(&str, Tls)] = &[("native", Tls::Native), ("initial-exec", Tls::InitialExec)];
const CLASS_KEYS: &[&str] = &["size", "sizes", "align", "slab_units", "pinned"];
const RANGE_KEYS: &[&str] = &["from", "to", "step", "steps_per_doubling"];
const RANGE_EXAMPLE: &str = "sizes = { from = 16, to = 128, step = 16 }";
const BUDGET_EXAMPLE: &str = "budget = { alloc = 5, free = 6 }";

/// The entries of a table: key, span of the key, value.
fn entries<'v, 'a>(table: &'v DeTable<'a>) -> impl Iterator<Item = (&'v str, Range<usize>, &'v Value<'a>)> {
    table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value))
}

impl Reader<'_> {
    fn spec(&mut self, document: &DeTable<'_>) -> RawSpec {
        let mut spec = RawSpec::default();
        for (key, key_span, value) in entries(document) {
            match key {
                "huge_pages" => spec.huge_pages = self.boolean(value, key, "huge_pages = true"),
                "crash_report" => spec.crash_report = self.boolean(value, key, "crash_report = true"),
                "tls" => spec.tls = self.word(value, key, TLS),
                "superslab" => self.section(value, key, &["size", "slab"], |reader, key, value| match key {
                    "size" => spec.superslab = reader.bytes(value, key, "size = \"2 MiB\""),
                    _ => spec.slab = reader.bytes(value, key, "slab = \"64 KiB\""),
                }),
                "purge" => self.section(value, key, &["delay_ms", "background"], |reader, key, value| match key {
                    "delay_ms" => spec.delay_ms = reader.delay(value, key),
                    _ => spec.purge_background = reader.background(value, key),
                }),
                "large" => self.section(value, key, &["cache"], |reader, key, value| {
                    spec.cache = reader.bytes(value, key, "cache = \"32 MiB\"");
                }),
                "defaults" => {
                    if let Some(table) = self.table(value, key, "[defaults]") {
                        spec.defaults = self.policy(table, "[defaults]", &[], |_, _, _| {});
                    }
                }
                "class" => {
                    for entry in self.array(value, key, "an array of tables", "[[class]]").into_iter().flatten() {
                        if let Some(table) = self.table(entry, key, "[[class]]") {
                            spec.classes.push(self.class(table, entry.span()));
                        }
                    }
                }
                _ => self.unknown_key(key, key_span, "the spec", SPEC_KEYS),
            }
        }
        let no_class =
            document.get("class").is_none_or(|class| class.get_ref().as_array().is_some_and(|a| a.is_empty()));
        if no_class {
            self.diagnostics.error(
                0..0,
                "a spec needs at least one class",
                "this has none",
                "write, for example, `[[class]]` and, on the next line, `size = 64`",
            );
        }
        spec
    }

    /// Reads a table: calls `each` for the keys in `keys`, and reports all others.
    fn section<'v, 'a>(
        &mut self,
        value: &'v Value<'a>,
        name: &str,
        keys: &[&str],
        mut each: impl FnMut(&mut Self, &str, &'v Value<'a>),
    ) {
        let Some(table) = self.table(value, name, &format!("[{name}]")) else { return };
        for (key, key_span, value) in entries(table) {
            if keys.contains(&key) {
                each(self, key, value);
            } else {
                self.unknown_key(key, key_span, &format!("`{name}`"), keys);
            }
        }
    }

    fn delay(&mut self, value: &Value<'_>, key: &str) -> Option<Spanned<OrNone<u64>>> {
        let delay = match value.get_ref() {
            DeValue::String(word) if word == "never" => OrNone::None,
            DeValue::Integer(_) => OrNone::Some(self.integer(value, key, "delay_ms = 100")?.into_inner()),
            _ => return self.mismatch(value, key, "milliseconds or \"never\"", "delay_ms = 100"),
        };
        Some(Spanned::new(value.span(), delay))
    }

    fn background(&mut self, value: &Value<'_>, key: &str) -> Option<Spanned<Background>> {
        let background = match value.get_ref() {
            DeValue::Boolean(false) => Background::No,
            DeValue::Boolean(true) => Background::OnSlowPath,
            DeValue::String(word) if word == "with-threads" => Background::WithThreads,
            _ => return self.mismatch(value, key, "true, false or `with-threads`", "background = true"),
        };
        Some(Spanned::new(value.span(), background))
    }

    /// Reads the keys that `[defaults]` and `[[class]]` share, and calls `each` for those in `more`.
    fn policy<'v, 'a>(
        &mut self,
        table: &'v DeTable<'a>,
        table_name: &str,
        more: &[&str],
        mut each: impl FnMut(&mut Self, &str, &'v Value<'a>),
    ) -> RawPolicy {
        let mut policy = RawPolicy::default();
        for (key, key_span, value) in entries(table) {
            match key {
                "layers" => policy.layers = self.layers(value, key),
                "batch" => policy.batch = self.integer(value, key, "batch = 32"),
                "specialise" => policy.specialise = self.boolean(value, key, "specialise = false"),
                "budget" => policy.budget = self.budget(value, key),
                "refill" => policy.refill = self.word(value, key, REFILLS),
                "free" => policy.free = self.word(value, key, FREES),
                "header" => policy.header = self.word(value, key, HEADERS),
                "stats" => policy.stats = self.boolean(value, key, "stats = true"),
                _ if more.contains(&key) => each(self, key, value),
                _ => match layers::find(self.catalogue, key) {
                    Some(layer) => {
                        let value = self.parameter(value, layer);
                        policy.parameters.push(RawParameter { layer, name_span: key_span, value });
                    }
                    None => {
                        let possible = [more, POLICY_KEYS, &layers::names(self.catalogue)].concat();
                        self.unknown_key(key, key_span, table_name, &possible);
                    }
                },
            }
        }
        policy
    }

    fn layers(&mut self, value: &Value<'_>, key: &str) -> Option<Spanned<Vec<Spanned<String>>>> {
        let example = format!("layers = {:?}", layers::DEFAULT_STACK);
        let mut names = Vec::new();
        for item in self.array(value, key, "an array of strings", &example)?.iter() {
            match item.get_ref() {
                DeValue::String(name) => names.push(Spanned::new(item.span(), name.to_string())),
                _ => return self.mismatch(item, key, "an array of strings", &example),
            }
        }
        Some(Spanned::new(value.span(), names))
    }

    fn budget(&mut self, value: &Value<'_>, key: &str) -> Option<OrNone<RawBudget>> {
        if value.get_ref().as_str() == Some("none") {
            return Some(OrNone::None);
        }
        let table = match value.get_ref() {
            DeValue::Table(table) => table,
            _ => return self.mismatch(value, key, "a table or \"none\"", BUDGET_EXAMPLE),
        };
        let (mut alloc, mut free) = (None, None);
        self.section(value, key, &["alloc", "free"], |reader, key, value| match key {
            "alloc" => alloc = reader.integer(value, key, BUDGET_EXAMPLE),
            _ => free = reader.integer(value, key, BUDGET_EXAMPLE),
        });
        for key in ["alloc", "free"] {
            if !table.contains_key(key) {
                self.missing_key(key, value.span(), "the budget", BUDGET_EXAMPLE);
            }
        }
        Some(OrNone::Some(RawBudget { alloc: alloc?, free: free? }))
    }

    fn parameter(&mut self, value: &Value<'_>, layer: &'static LayerKind) -> Option<Spanned<u64>> {
        let key = layer.parameter.map(|parameter| parameter.key);
        let mut number = None;
        self.section(value, layer.name, key.as_slice(), |reader, key, value| {
            number = match layer.parameter.map(|parameter| parameter.unit) {
                Some(layers::Unit::Bytes) => reader.bytes(value, key, &format!("{key} = \"32 KiB\"")),
                _ => reader.integer(value, key, &format!("{key} = 64")),
            }
        });
        number
    }

    fn class(&mut self, table: &DeTable<'_>, span: Range<usize>) -> RawClass {
        let (mut size, mut sizes, mut align, mut slab_units, mut pinned) = (None, None, None, None, None);
        let policy = self.policy(table, "[[class]]", CLASS_KEYS, |reader, key, value| match key {
            "size" => size = reader.bytes(value, key, "size = 64"),
            "sizes" => sizes = reader.sizes(value, key),
            "align" => align = reader.bytes(value, key, "align = 16"),
            "pinned" => pinned = reader.boolean(value, key, "pinned = true"),
            _ => slab_units = reader.integer(value, key, "slab_units = 2"),
        });
        match (table.contains_key("size"), table.get_key_value("sizes")) {
            (false, None) => self.missing_key("size", span, "the class", &format!("size = 64` or `{RANGE_EXAMPLE}")),
            (true, Some((key, _))) => {
                self.diagnostics.error(
                    key.span(),
                    "a class has either `size` or `sizes`",
                    "`size` is given as well",
                    "keep one of the two, or write two [[class]] entries",
                );
                (size, sizes) = (None, None);
            }
            _ => {}
        }
        let sizes = sizes.or(size.map(|size| RawSizes::List(vec![size])));
        RawClass { sizes, align, slab_units, pinned, policy }
    }

    fn sizes(&mut self, value: &Value<'_>, key: &str) -> Option<RawSizes> {
        match value.get_ref() {
            DeValue::Array(array) if array.is_empty() => {
                self.diagnostics.error(
                    value.span(),
                    "`sizes` must not be empty",
                    "this makes no class",
                    format!("write, for example, `{key} = [64, 96]`"),
                );
                None
            }
            DeValue::Array(array) => {
                let sizes = array.iter().filter_map(|item| self.bytes(item, key, "sizes = [64, 96]")).collect();
                Some(RawSizes::List(sizes))
            }
            DeValue::Table(table) => self.range(table, value),
            _ => self.mismatch(value, key, "an array or a range", RANGE_EXAMPLE),
        }
    }

    fn range(&mut self, table: &DeTable<'_>, value: &Value<'_>) -> Option<RawSizes> {
        let (mut from, mut to, mut step, mut steps) = (None, None, None, None);
        self.section(value, "sizes", RANGE_KEYS, |reader, key, value| match key {
            "from" => from = reader.bytes(value, key, "from = 16"),
            "to" => to = reader.bytes(value, key, "to = 128"),
            "step" => step = reader.bytes(value, key, "step = 16"),
            _ => steps = reader.integer(value, key, "steps_per_doubling = 4"),
        });
        for key in ["from", "to"] {
            if !table.contains_key(key) {
                self.missing_key(key, value.span(), "the range", RANGE_EXAMPLE);
            }
        }
        if table.contains_key("step") == table.contains_key("steps_per_doubling") {
            self.diagnostics.error(
                value.span(),
                "a range has either `step` or `steps_per_doubling`",
                if table.contains_key("step") { "this has both" } else { "this has neither" },
                format!("write, for example, `{RANGE_EXAMPLE}`"),
            );
            return None;
        }
        let spacing = step.map(Spacing::Step).or(steps.map(Spacing::StepsPerDoubling))?;
        Some(RawSizes::Range { span: value.span(), from: from?, to: to?, spacing })
    }
}
