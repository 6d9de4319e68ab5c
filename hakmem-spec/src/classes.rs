//! The classes of a spec: whether each is possible, and whether its sizes, layers and policies fit together.

use std::ops::Range;

use toml::Spanned;

use crate::diagnostic::Diagnostics;
use crate::layers::{self, Arguments, LayerKind};
use crate::model::{Class, Free, Geometry, Header, MAX_ALIGN, MAX_CLASSES, Refill, SMALL_GRAIN, SlabShape};
use crate::policy::{Policy, in_range, resolve};
use crate::raw::{RawClass, RawPolicy, RawSpec};
use crate::shape;
use crate::sizes::{self, Member};
use crate::source::Source;
use crate::units::format_bytes;

/// The smallest class with headers: a free block's link must not reach into the next block's header.
const MIN_WITH_HEADER: u32 = 16;

/// The classes of a spec. `geometry` is `None` if it is wrong; what depends on it is then not checked.
pub(crate) fn validate(
    raw: &RawSpec,
    source: &Source,
    catalogue: &'static [LayerKind],
    geometry: Option<Geometry>,
    diagnostics: &mut Diagnostics,
) -> Vec<Class> {
    Classes { source, catalogue, geometry, diagnostics, classes: Vec::new() }.all(raw)
}

/// The classes found so far, and what is needed to check another.
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

    /// Adds the classes of an entry. `false`: the spec has too many classes, and the rest is not looked at.
    fn entry(&mut self, raw: &RawClass, defaults: &Policy) -> bool {
        let own = Policy::new(&raw.policy, self.catalogue, self.diagnostics);
        // The class has a wrong stack of its own: do not report conflicts with the default stack.
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
            // If one member of a range is out of order, so is the rest.
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
            // Not `align`, which the spec may set lower: blocks keep the natural alignment of their size.
            let first_block_offset = if header == Header::RegionId { sizes::natural_align(member.size) } else { 0 };
            let slab = self.slab(raw.slab_units.as_ref(), member, size, first_block_offset);
            self.check_policies(&policy, size);
            if let Some(geometry) = self.geometry {
                self.check_span(&policy, member, raw.slab_units.as_ref(), geometry, slab.slabs, size);
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

    /// Checks that an entry has the layers whose parameters it sets. `[defaults]` may set those of any layer, since
    /// some entries may use it and others not.
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

    /// The size, if it is at most half a SuperSlab.
    fn check_size(&mut self, member: &Member) -> Option<u32> {
        // Without a geometry there is no limit but that of the type.
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

    /// Checks that a layer which finds a block's slab by masking its address has spans of one slab.
    fn check_span(
        &mut self,
        policy: &Policy,
        member: &Member,
        written: Option<&Spanned<u64>>,
        geometry: Geometry,
        slabs: u32,
        size: u32,
    ) {
        let Some(kind) = in_slabs(policy) else { return };
        if slabs < 2 {
            return;
        }
        let (span, label, help) = match written {
            Some(written) if size <= geometry.slab => {
                (written.span(), format!("these are {slabs}"), "write `slab_units = 1`, or give it other layers".into())
            }
            _ if size <= geometry.slab => (
                member.span.clone(),
                format!("the class of {size} has {slabs}"),
                "give it other layers, larger slabs, or `slab_units = 1`".into(),
            ),
            _ => (
                member.span.clone(),
                format!("the class of {size} has {slabs}"),
                format!("give it other layers: {} hold no block of {size}", format_bytes(geometry.slab.into())),
            ),
        };
        self.diagnostics.error(span, format!("`{}` needs spans of one slab", kind.name), label, help);
    }

    /// Checks that the policies fit the stack and the size.
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
                        "`{}` is not refilled, so `refill` cannot be `{}`",
                        kind.name,
                        if legacy { "legacy" } else { "background" }
                    ),
                    format!("in the class of {size} it allocates from slabs directly"),
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

    /// The shape of the spans. Without a geometry it is empty: the spec is rejected anyway.
    fn slab(
        &mut self,
        slab_units: Option<&Spanned<u64>>,
        member: &Member,
        size: u32,
        first_block_offset: u32,
    ) -> SlabShape {
        let Some(geometry) = self.geometry else {
            return SlabShape { slabs: 0, first_block_offset, blocks: 0, slack: 0 };
        };
        let derived = shape::derive(geometry, size, first_block_offset);
        if derived.blocks == 0 {
            // The size is at most half a SuperSlab (`check_size`), so without a header the longest span holds a block.
            let half = format_bytes((geometry.superslab / 2).into());
            let below = format_bytes((size - first_block_offset).into());
            self.diagnostics.error(
                member.span.clone(),
                "a class with a header must be smaller than half a SuperSlab",
                format!("a span, of at most {half}, has no room for this and a header"),
                format!(
                    "lower it to {below} or less, write `header = \"none\"` for this class, or raise `size` in [superslab]"
                ),
            );
            return derived;
        }
        let Some(slab_units) = slab_units else { return derived };
        let Some(count) = in_range(slab_units, "slab_units", 1, geometry.max_span_slabs().into(), self.diagnostics)
        else {
            return derived;
        };
        let shape = shape::of(geometry, count, size, first_block_offset);
        if shape.blocks == 0 {
            let bytes = format_bytes(u64::from(count) * u64::from(geometry.slab));
            let with_header = if first_block_offset == 0 { "" } else { " and its header" };
            self.diagnostics.error(
                slab_units.span(),
                "the slabs of a class must hold at least one block",
                format!("{bytes} hold no block of {size}{with_header}"),
                format!(
                    "at least {} are needed; left out, it would be {}",
                    (size + first_block_offset).div_ceil(geometry.slab),
                    derived.slabs
                ),
            );
        }
        shape
    }
}

/// The layer of a stack that keeps free blocks in their slabs, if it has one.
fn in_slabs(policy: &Policy) -> Option<&'static LayerKind> {
    policy.stack.iter().flatten().copied().find(|kind| kind.arguments == Arguments::Geometry)
}
