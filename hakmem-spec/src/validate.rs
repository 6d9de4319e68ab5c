//! From the syntax tree to the model: whether the values are possible and fit together.

use std::ops::Range;

use toml::Spanned;

use crate::diagnostic::Diagnostics;
use crate::layers::{self, Arguments, LayerKind};
use crate::model::{Class, Free, Geometry, Header, Large, MAX_ALIGN, MAX_CLASSES, Purge, Refill, SlabShape, Spec, Tls};
use crate::plan::SMALL_GRAIN;
use crate::policy::{Policy, in_range, resolve};
use crate::raw::{OrNone, RawClass, RawPolicy, RawSpec};
use crate::shape;
use crate::sizes::{self, Member};
use crate::source::Source;
use crate::units::format_bytes;

const SUPERSLAB_RANGE: (u64, u64) = (256 << 10, 64 << 20);
const SLAB_RANGE: (u64, u64) = (16 << 10, 1 << 20);
const SLABS_RANGE: (u32, u32) = (4, 64);
/// A day, in milliseconds; whoever means longer means never.
const MAX_DELAY: u32 = 86_400_000;
const MAX_CACHE: u64 = 16 << 30;
/// A free block's link must not reach into the next one's header.
const MIN_WITH_HEADER: u32 = 16;

/// The model of a syntax tree. If it is `None`, or there are errors besides it, the spec is not valid.
pub(crate) fn validate(
    raw: &RawSpec,
    source: &Source,
    catalogue: &'static [LayerKind],
    diagnostics: &mut Diagnostics,
) -> Option<Spec> {
    let geometry = geometry(raw, diagnostics);
    let purge = purge(raw, diagnostics);
    let large = large(raw, diagnostics);
    let huge_pages = raw.huge_pages.as_ref().is_some_and(|flag| *flag.get_ref());
    let classes = Classes { source, catalogue, geometry, diagnostics, classes: Vec::new() }.all(raw);
    let tls = raw.tls.as_ref().map_or_else(Tls::default, |tls| *tls.get_ref());
    Some(Spec { geometry: geometry?, purge, large, huge_pages, tls, classes })
}

/// The geometry, unless it is wrong; the classes are then checked without it.
fn geometry(raw: &RawSpec, diagnostics: &mut Diagnostics) -> Option<Geometry> {
    let default = Geometry::default();
    let superslab = power(raw.superslab.as_ref(), default.superslab, "a SuperSlab", SUPERSLAB_RANGE, diagnostics);
    let slab = power(raw.slab.as_ref(), default.slab, "a slab", SLAB_RANGE, diagnostics);
    let geometry = Geometry { superslab: superslab?, slab: slab? };
    let slabs = geometry.slabs();
    let (min, max) = SLABS_RANGE;
    if (min..=max).contains(&slabs) {
        return Some(geometry);
    }
    // One of the two was written, as the defaults fit each other.
    let span = raw.slab.as_ref().or(raw.superslab.as_ref()).map_or(0..0, Spanned::span);
    let within = |slab: u32| u64::from(slab).clamp(SLAB_RANGE.0, SLAB_RANGE.1);
    let (from, to) = (within(geometry.superslab / max), within(geometry.superslab / min));
    diagnostics.error(
        span,
        format!("a SuperSlab must hold from {min} to {max} slabs"),
        format!(
            "{} in slabs of {} are {slabs}",
            format_bytes(geometry.superslab.into()),
            format_bytes(geometry.slab.into())
        ),
        if from == to {
            format!("with such a SuperSlab, write `slab = \"{}\"`", format_bytes(from))
        } else {
            format!("with such a SuperSlab, `slab` may be from {} to {}", format_bytes(from), format_bytes(to))
        },
    );
    None
}

/// A size that must be a power of two within a range that fits 32 bits.
fn power(
    value: Option<&Spanned<u64>>,
    default: u32,
    what: &str,
    (min, max): (u64, u64),
    diagnostics: &mut Diagnostics,
) -> Option<u32> {
    let Some(value) = value else { return Some(default) };
    let bytes = *value.get_ref();
    if bytes.is_power_of_two() && (min..=max).contains(&bytes) {
        return u32::try_from(bytes).ok();
    }
    let above = bytes.clamp(min, max).next_power_of_two();
    let below = if bytes < min || bytes > max { above } else { above / 2 };
    let nearest = if below == above {
        format!("the nearest is {}", format_bytes(above))
    } else {
        format!("the nearest are {} and {}", format_bytes(below), format_bytes(above))
    };
    diagnostics.error(
        value.span(),
        format!("{what} must be a power of two from {} to {}", format_bytes(min), format_bytes(max)),
        format!("this is {}", format_bytes(bytes)),
        nearest,
    );
    None
}

fn purge(raw: &RawSpec, diagnostics: &mut Diagnostics) -> Purge {
    let delay_ms = match &raw.delay_ms {
        Some(delay) => delay_ms(delay, diagnostics),
        None => Purge::default().delay_ms,
    };
    let background = raw.purge_background.as_ref().filter(|background| *background.get_ref());
    if let Some(background) = background
        && let Some((word, why)) = match delay_ms {
            None => Some(("\"never\"", "nothing goes back by itself")),
            Some(0) => Some(("0", "whoever frees memory gives it back at once")),
            Some(_) => None,
        }
    {
        diagnostics.error(
            background.span(),
            "`background` needs a delay to wait for",
            format!("with `delay_ms = {word}` {why}"),
            "remove this, or write, for example, `delay_ms = 500`",
        );
    }
    Purge { delay_ms, background: background.is_some() }
}

fn delay_ms(delay: &Spanned<OrNone<u64>>, diagnostics: &mut Diagnostics) -> Option<u32> {
    let OrNone::Some(ms) = *delay.get_ref() else { return None };
    if ms > MAX_DELAY.into() {
        diagnostics.error(
            delay.span(),
            "`delay_ms` is out of range",
            format!("this is {ms}"),
            format!("from 0 to {MAX_DELAY}, which is a day, is possible, or \"never\""),
        );
    }
    Some(u32::try_from(ms).unwrap_or(MAX_DELAY))
}

fn large(raw: &RawSpec, diagnostics: &mut Diagnostics) -> Large {
    let Some(cache) = &raw.cache else { return Large::default() };
    if *cache.get_ref() > MAX_CACHE {
        diagnostics.error(
            cache.span(),
            "`cache` is out of range",
            format!("this is {}", format_bytes(*cache.get_ref())),
            format!("from 0 to {} is possible", format_bytes(MAX_CACHE)),
        );
    }
    Large { cache: *cache.get_ref() }
}

/// The classes so far, and what checking another needs.
struct Classes<'a> {
    source: &'a Source,
    catalogue: &'static [LayerKind],
    geometry: Option<Geometry>,
    diagnostics: &'a mut Diagnostics,
    classes: Vec<Class>,
}

impl Classes<'_> {
    fn all(mut self, raw: &RawSpec) -> Vec<Class> {
        let mut defaults = Policy::new(&raw.defaults, self.catalogue, self.diagnostics);
        if raw.defaults.layers.is_none() {
            let name = |name: &&str| Spanned::new(0..0, (*name).to_owned());
            let names = Spanned::new(0..0, layers::DEFAULT_STACK.iter().map(name).collect());
            defaults.stack = resolve(&names, self.catalogue, self.diagnostics);
        }
        for entry in &raw.classes {
            if !self.entry(entry, &defaults) {
                break;
            }
        }
        self.classes
    }

    /// Adds the classes of an entry; false if there are too many to go on.
    fn entry(&mut self, raw: &RawClass, defaults: &Policy) -> bool {
        let own = Policy::new(&raw.policy, self.catalogue, self.diagnostics);
        // A stack in error is not the default's: nothing is to be held against that.
        let stack_known = raw.policy.layers.is_none() || own.stack.is_some();
        let mut policy = own.or(defaults);
        if !stack_known {
            policy.stack = None;
        }
        self.check_parameters(&raw.policy, &policy);
        let align = raw.align.as_ref().map(|align| self.align(align));
        let Some(sizes) = &raw.sizes else { return true };
        let members = sizes::expand(sizes, self.diagnostics);
        for member in &members {
            if self.classes.len() == MAX_CLASSES {
                self.diagnostics.error(
                    member.span.clone(),
                    format!("a spec may have at most {MAX_CLASSES} classes"),
                    format!("the class of {} would be one more", member.size),
                    "space the sizes further apart",
                );
                return false;
            }
            // An order in error is in error for the rest of a range too.
            if !self.check_order(member) {
                break;
            }
            let Some(size) = self.check_size(member) else { continue };
            let align = match align {
                Some(Some(align)) => self.check_align(member, align),
                _ => sizes::natural_align(member.size),
            };
            let stack = policy.limits(size);
            let batch = policy.batch(size, &stack, self.diagnostics);
            let header = policy.header.as_ref().map_or(Header::None, |header| *header.get_ref());
            // Not the alignment, which may be less: blocks are to stay at multiples of what divides their size.
            let lead = if header == Header::RegionId { sizes::natural_align(member.size) } else { 0 };
            let slab = self.slab(raw.slab_units.as_ref(), size, lead);
            self.check_policies(&policy, size);
            if let Some(geometry) = self.geometry {
                self.check_span(&policy, member, raw.slab_units.as_ref(), geometry, slab.units, size);
            }
            let (budget, specialise) = (policy.budget(), policy.specialise());
            let span = member.span.clone();
            let refill = policy.refill.as_ref().map_or_else(Refill::default, |refill| *refill.get_ref());
            let free = policy.free.as_ref().map_or_else(Free::default, |free| *free.get_ref());
            let stats = policy.stats();
            let pinned = raw.pinned.as_ref().is_some_and(|pinned| *pinned.get_ref());
            self.classes.push(Class {
                size,
                align,
                stack,
                batch,
                budget,
                specialise,
                refill,
                free,
                header,
                stats,
                pinned,
                slab,
                span,
            });
        }
        true
    }

    /// Whether the layers that an entry sets parameters of are in its stack. In `[defaults]` they need not be: another
    /// entry may name them.
    fn check_parameters(&mut self, raw: &RawPolicy, policy: &Policy) {
        let Some(stack) = &policy.stack else { return };
        for parameter in &raw.parameters {
            let name = parameter.layer.name;
            if !stack.contains(&parameter.layer) {
                let names: Vec<&str> = stack.iter().map(|kind| kind.name).collect();
                self.diagnostics.error(
                    parameter.name_span.clone(),
                    format!("the class does not use the layer `{name}`"),
                    format!("its layers are {names:?}"),
                    format!("add \"{name}\" to `layers`, or remove this table"),
                );
            }
        }
    }

    fn check_order(&mut self, member: &Member) -> bool {
        let Some(last) = self.classes.last() else { return true };
        if u64::from(last.size) < member.size {
            return true;
        }
        let line = |span: &Range<usize>| self.source.position(span.start).line;
        let same = self.classes.iter().find(|class| u64::from(class.size) == member.size);
        if let Some(class) = same {
            self.diagnostics.error(
                member.span.clone(),
                "a class size is given twice",
                format!("{} is a class already", member.size),
                format!("line {} gives it; remove one of the two", line(&class.span)),
            );
        } else {
            self.diagnostics.error(
                member.span.clone(),
                "class sizes must ascend",
                format!("{} comes after {}", member.size, last.size),
                format!("move it in front of line {}", line(&last.span)),
            );
        }
        false
    }

    /// The size, if half a SuperSlab holds it.
    fn check_size(&mut self, member: &Member) -> Option<u32> {
        // Without a geometry any size that fits its field may be right.
        let half = self.geometry.map_or(u32::MAX, |geometry| geometry.superslab / 2);
        let size = u32::try_from(member.size).ok().filter(|size| *size <= half);
        if size.is_none() {
            self.diagnostics.error(
                member.span.clone(),
                "a class may be at most half a SuperSlab",
                format!("{} is more than {}", format_bytes(member.size), format_bytes(half.into())),
                "lower it, or raise `size` in [superslab]; requests above the largest class are mapped on their own",
            );
        }
        size
    }

    fn align(&mut self, align: &Spanned<u64>) -> Option<u32> {
        let value = *align.get_ref();
        if value.is_power_of_two() && (SMALL_GRAIN.into()..=MAX_ALIGN.into()).contains(&value) {
            return u32::try_from(value).ok();
        }
        self.diagnostics.error(
            align.span(),
            format!("`align` must be a power of two from {SMALL_GRAIN} to {MAX_ALIGN}"),
            format!("{value} is not"),
            "without it, the alignment is the largest power of two that divides the size",
        );
        None
    }

    fn check_align(&mut self, member: &Member, align: u32) -> u32 {
        let (size, step) = (member.size, u64::from(align));
        if !size.is_multiple_of(step) {
            let (below, above) = (size / step * step, size.next_multiple_of(step));
            let sizes = if below == 0 { above.to_string() } else { format!("{below} or {above}") };
            self.diagnostics.error(
                member.span.clone(),
                "a class size must be a multiple of its alignment",
                format!("{size} is not a multiple of {align}"),
                format!("write {sizes}, or `align = {}`", sizes::natural_align(size)),
            );
        }
        align
    }

    /// Whether a layer that finds slabs by arithmetic has spans in which it can.
    fn check_span(
        &mut self,
        policy: &Policy,
        member: &Member,
        written: Option<&Spanned<u64>>,
        geometry: Geometry,
        units: u32,
        size: u32,
    ) {
        let Some(kind) = in_slabs(policy) else { return };
        if units < 2 {
            return;
        }
        let (span, label, help) = match written {
            Some(written) if size <= geometry.slab => {
                (written.span(), format!("these are {units}"), "write `slab_units = 1`, or give it other layers".into())
            }
            _ if size <= geometry.slab => (
                member.span.clone(),
                format!("the class of {size} has {units}"),
                "give it other layers, larger slabs, or `slab_units = 1`".into(),
            ),
            _ => (
                member.span.clone(),
                format!("the class of {size} has {units}"),
                format!("give it other layers: {} hold no block of {size}", format_bytes(geometry.slab.into())),
            ),
        };
        self.diagnostics.error(span, format!("`{}` needs spans of one slab", kind.name), label, help);
    }

    /// Whether the policies fit the stack and the size.
    fn check_policies(&mut self, policy: &Policy, size: u32) {
        let stack = policy.stack.as_deref().unwrap_or_default();
        if let Some(refill) = &policy.refill
            && *refill.get_ref() != Refill::FrontDirect
        {
            let legacy = *refill.get_ref() == Refill::Legacy;
            let names: Vec<&str> = stack.iter().map(|kind| kind.name).collect();
            if let Some(kind) = in_slabs(policy) {
                self.diagnostics.error(
                    refill.span(),
                    format!(
                        "`{}` has no refill that could be `{}`",
                        kind.name,
                        if legacy { "legacy" } else { "background" }
                    ),
                    format!("it takes blocks where they are, in the class of {size}"),
                    "write `refill = \"front-direct\"` for this class",
                );
            } else if legacy && !stack.is_empty() && !names.contains(&"sll") {
                self.diagnostics.error(
                    refill.span(),
                    "`legacy` refills go through `sll`",
                    format!("the layers of the class of {size} are {names:?}"),
                    "add \"sll\" to its `layers`, or write `refill = \"front-direct\"`",
                );
            }
        }
        if let Some(header) = &policy.header
            && *header.get_ref() == Header::RegionId
            && size < MIN_WITH_HEADER
        {
            self.diagnostics.error(
                header.span(),
                format!("a class with a header must have at least {MIN_WITH_HEADER} bytes"),
                format!("the class of {size} has no room: the last byte of a block is the next one's header"),
                "write `header = \"none\"` for this class, or let the classes begin at 16",
            );
        }
    }

    /// What the blocks are cut from; without a geometry nothing, as the spec is in error anyway.
    fn slab(&mut self, units: Option<&Spanned<u64>>, size: u32, lead: u32) -> SlabShape {
        let Some(geometry) = self.geometry else { return SlabShape { units: 0, lead, blocks: 0, tail: 0 } };
        let derived = shape::derive(geometry, size, lead);
        let Some(units) = units else { return derived };
        let Some(count) = in_range(units, "slab_units", 1, geometry.max_units().into(), self.diagnostics) else {
            return derived;
        };
        let shape = shape::of(geometry, count, size, lead);
        if shape.blocks == 0 {
            let bytes = format_bytes(u64::from(count) * u64::from(geometry.slab));
            self.diagnostics.error(
                units.span(),
                "the slabs of a class must hold at least one block",
                format!("{bytes} hold no block of {size}"),
                format!(
                    "at least {} are needed; left out, it would be {}",
                    size.div_ceil(geometry.slab),
                    derived.units
                ),
            );
        }
        shape
    }
}

/// The layer of a stack that keeps blocks in their slabs, if there is one.
fn in_slabs(policy: &Policy) -> Option<&'static LayerKind> {
    policy.stack.iter().flatten().copied().find(|kind| kind.arguments == Arguments::Geometry)
}
