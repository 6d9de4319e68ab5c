//! From the syntax tree to the model: the settings of the whole allocator. The classes are in [`crate::classes`].

use toml::Spanned;

use crate::classes;

use crate::diagnostic::Diagnostics;
use crate::layers::LayerKind;
use crate::model::{Background, Geometry, Large, Purge, Spec, Tls};
use crate::raw::{OrNone, RawSpec};
use crate::source::Source;
use crate::units::format_bytes;

const SUPERSLAB_RANGE: (u64, u64) = (256 << 10, 64 << 20);
const SLAB_RANGE: (u64, u64) = (16 << 10, 1 << 20);
const SLABS_RANGE: (u32, u32) = (4, 64);
/// A day, in milliseconds. A longer delay is written `"never"`.
const MAX_DELAY: u32 = 86_400_000;
const MAX_CACHE: u64 = 16 << 30;

/// The model of a syntax tree. The spec is valid if this is `Some` and no error was reported.
pub(crate) fn validate(
    raw: &RawSpec,
    source: &Source,
    catalogue: &'static [LayerKind],
    diagnostics: &mut Diagnostics,
) -> Option<Spec> {
    let geometry = geometry(raw, diagnostics);
    let purge = purge(raw, diagnostics);
    let large = large(raw, diagnostics);
    let [huge_pages, crash_report] =
        [&raw.huge_pages, &raw.crash_report].map(|flag| flag.as_ref().is_some_and(|flag| *flag.get_ref()));
    let classes = classes::validate(raw, source, catalogue, geometry, diagnostics);
    let tls = raw.tls.as_ref().map_or_else(Tls::default, |tls| *tls.get_ref());
    Some(Spec { geometry: geometry?, purge, large, huge_pages, crash_report, tls, classes })
}

/// The geometry, or `None` if it is wrong: the classes are then checked as far as possible without it.
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
    // At least one of the two was written, since the defaults fit each other.
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

/// A size that must be a power of two within a range; the range must fit 32 bits.
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
    let background = raw.purge_background.as_ref().filter(|background| *background.get_ref() != Background::No);
    if let Some(background) = background
        && let Some((word, why)) = match delay_ms {
            None => Some(("\"never\"", "no memory is returned by itself")),
            Some(0) => Some(("0", "memory is returned as soon as it is freed")),
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
    Purge { delay_ms, background: background.map_or(Background::No, |background| *background.get_ref()) }
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
