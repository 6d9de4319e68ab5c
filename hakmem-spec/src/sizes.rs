//! The class sizes of an entry: ranges are expanded, and each size is checked by itself.

use std::ops::Range;

use toml::Spanned;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{MAX_ALIGN, MAX_CLASSES, MEDIUM_GRAIN, SMALL_GRAIN, SMALL_MAX};
use crate::raw::{RawSizes, Spacing};

/// A size and its span in the text; the members of a range share the span of the range.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) size: u64,
    pub(crate) span: Range<usize>,
}

/// The valid sizes of an entry. A wrong range yields none, since its members would only repeat the error.
pub(crate) fn expand(sizes: &RawSizes, diagnostics: &mut Diagnostics) -> Vec<Member> {
    let members: Vec<Member> = match sizes {
        RawSizes::List(sizes) => sizes.iter().map(|size| Member { size: *size.get_ref(), span: size.span() }).collect(),
        RawSizes::Range { span, from, to, spacing } => match range(from, to, spacing) {
            Ok(sizes) => sizes.into_iter().map(|size| Member { size, span: span.clone() }).collect(),
            Err(diagnostic) => {
                diagnostics.push(diagnostic);
                Vec::new()
            }
        },
    };
    members.into_iter().filter(|member| check(member, diagnostics)).collect()
}

/// Whether a size can be that of a class; reported if not.
fn check(member: &Member, diagnostics: &mut Diagnostics) -> bool {
    let size = member.size;
    let grain = if size > SMALL_MAX.into() { MEDIUM_GRAIN } else { SMALL_GRAIN };
    if size > 0 && size.is_multiple_of(grain.into()) {
        return true;
    }
    let message = if grain == SMALL_GRAIN {
        format!("a class size must be a multiple of {SMALL_GRAIN}")
    } else {
        format!("a class size above {SMALL_MAX} must be a multiple of {MEDIUM_GRAIN}")
    };
    let help = if size == 0 { format!("the smallest class is {SMALL_GRAIN}") } else { nearest(size, grain) };
    diagnostics.error(member.span.clone(), message, format!("{size} is not"), help);
    false
}

/// Names the valid sizes below and above an invalid one.
fn nearest(size: u64, grain: u32) -> String {
    let below = size / u64::from(grain) * u64::from(grain);
    let above = below.saturating_add(grain.into());
    if below == 0 { format!("the nearest is {above}") } else { format!("the nearest are {below} and {above}") }
}

/// The members of a range. If there are more than a spec may have, only the first are returned, one more than that.
fn range(from: &Spanned<u64>, to: &Spanned<u64>, spacing: &Spacing) -> Result<Vec<u64>, Diagnostic> {
    let (first, last) = (*from.get_ref(), *to.get_ref());
    let grain = u64::from(SMALL_GRAIN);
    if first == 0 || !first.is_multiple_of(grain) {
        let message = format!("a range must begin with a multiple of {grain}");
        return Err(Diagnostic::new(from.span(), message, format!("{first} is not"), nearest(first, SMALL_GRAIN)));
    }
    if first > last {
        let label = format!("`to` is {last}");
        return Err(Diagnostic::new(from.span(), "a range must ascend", label, "exchange `from` and `to`"));
    }
    check_spacing(from, spacing)?;

    let mut members = vec![first];
    // The last member so far, and the one that would follow it.
    let (mut at, mut next) = (first, after(first, spacing));
    while next <= last {
        if members.len() > MAX_CLASSES {
            return Ok(members); // A range may have billions of members.
        }
        members.push(next);
        (at, next) = (next, after(next, spacing));
    }
    if at != last {
        let label = format!("the members next to {last} are {at} and {next}");
        let help = format!("write `to = {at}` or `to = {next}`");
        return Err(Diagnostic::new(to.span(), "a range must end with one of its members", label, help));
    }
    Ok(members)
}

/// The member of a range after `member`.
fn after(member: u64, spacing: &Spacing) -> u64 {
    member.saturating_add(match spacing {
        Spacing::Step(step) => *step.get_ref(),
        Spacing::StepsPerDoubling(steps) => (1 << member.ilog2()) / steps.get_ref(),
    })
}

/// Checks that the members of a range from `from` on are multiples of the grain and, with `steps_per_doubling`, include
/// each power of two.
fn check_spacing(from: &Spanned<u64>, spacing: &Spacing) -> Result<(), Diagnostic> {
    let first = *from.get_ref();
    let grain = u64::from(SMALL_GRAIN);
    match spacing {
        Spacing::Step(step) => {
            let by = *step.get_ref();
            if by == 0 || !by.is_multiple_of(grain) {
                let message = format!("`step` must be a multiple of {grain}");
                return Err(Diagnostic::new(step.span(), message, format!("{by} is not"), nearest(by, SMALL_GRAIN)));
            }
        }
        Spacing::StepsPerDoubling(steps) => {
            let count = *steps.get_ref();
            let power = 1_u64 << first.ilog2();
            if !count.is_power_of_two() {
                return Err(Diagnostic::new(
                    steps.span(),
                    "`steps_per_doubling` must be a power of two",
                    format!("{count} does not divide the powers of two in equal steps"),
                    "write 1, 2, 4 or 8",
                ));
            }
            if count > power / grain {
                return Err(Diagnostic::new(
                    steps.span(),
                    format!("the steps of a range must be multiples of {grain}"),
                    format!("{count} steps from {power} to {} are not", power.saturating_mul(2)),
                    format!(
                        "at most {} fit there; a range of smaller sizes is better written with `step = {grain}`",
                        power / grain
                    ),
                ));
            }
            let step = power / count;
            if !(first - power).is_multiple_of(step) {
                let below = first - (first - power) % step;
                return Err(Diagnostic::new(
                    from.span(),
                    "a range must begin with one of its members",
                    format!("the members next to {first} are {below} and {}", below.saturating_add(step)),
                    format!("write `from = {below}` or `from = {}`", below.saturating_add(step)),
                ));
            }
        }
    }
    Ok(())
}

/// The alignment of a class that does not set it: the largest that its size guarantees.
pub(crate) fn natural_align(size: u64) -> u32 {
    // At most `MAX_ALIGN`, so it fits 32 bits.
    (1_u64 << size.trailing_zeros()).min(MAX_ALIGN.into()) as u32
}
