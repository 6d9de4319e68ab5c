//! Fitting a spec to a profile: choosing the sizes and settings of its classes and rewriting its text.

use std::ops::RangeInclusive;

use hakmem_spec::{Source, Spec};

use super::cost::Prices;
use super::demand::{Demand, Goal};
use super::entry::NewClass;
use super::evaluate::Evaluation;
use super::large;
use super::optimise::{self, Choice};
use super::rewrite::Entries;
use super::settings::{Settings, settings};
use crate::failure::{Failure, Outcome, fail};
use crate::profile::Profile;
use crate::project::LoadedSpec;

/// The most classes that are tried unless the user asks for a number.
const MOST_CLASSES: usize = 64;

/// By default, other sizes must save this percentage of the live bytes for the sizes of a spec to change. The
/// prediction is not more exact: in `benches/programs/src/cache.rs`, sizes predicted to save 1.5 % saved nothing.
pub(crate) const MARGIN: f64 = 2.0;

/// A spec fitted to a profile.
#[derive(Debug)]
pub(crate) struct Tuned {
    /// The best choice for each number of classes.
    pub(crate) choices: Vec<Choice>,
    /// The chosen number of classes, without the reserve.
    pub(crate) chosen: usize,
    /// The text of the fitted spec, and its model.
    pub(crate) text: String,
    pub(crate) spec: Spec,
    /// The profile evaluated with the old spec and with the fitted one.
    pub(crate) before: Evaluation,
    pub(crate) after: Evaluation,
    pub(crate) prices: Prices,
    /// The sizes that serve no request of the profile.
    pub(crate) reserve: Vec<u32>,
    /// What the best sizes would save, in percent of the live bytes.
    pub(crate) saving: f64,
    /// Whether that is too little, so that the sizes are unchanged.
    pub(crate) unchanged: bool,
    /// The part of the run time that it would cost to keep no freed large blocks.
    pub(crate) cost_without_cache: f64,
}

/// How to choose the classes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) goal: Goal,
    /// How many; `None`: as many as save more than they cost, or the sizes of before if that saves no more than the
    /// margin.
    pub(crate) classes: Option<usize>,
    /// Whether to choose one class after the other.
    pub(crate) greedy: bool,
    /// In percent of the live bytes.
    pub(crate) margin: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { goal: Goal::default(), classes: None, greedy: false, margin: MARGIN }
    }
}

/// Fits a spec to a profile.
pub(crate) fn fit(loaded: &LoadedSpec, profile: &Profile, options: Options) -> Outcome<Tuned> {
    if profile.allocations() == 0 {
        return fail("the profile has no allocation");
    }
    let spec = &loaded.spec;
    let entries = Entries::new(&loaded.source.text, spec)?;
    let pinned: Vec<&[hakmem_spec::Class]> = entries.pinned().collect();
    let forced: Vec<u32> = pinned.iter().flat_map(|classes| classes.iter().map(|class| class.size)).collect();
    let closed: Vec<RangeInclusive<u32>> =
        pinned.iter().filter_map(|classes| Some(classes.first()?.size..=classes.last()?.size)).collect();
    // Larger requests are large blocks under either spec.
    let largest = entries.largest();
    let prices = Prices::new(spec.geometry, profile.busy_threads());
    let demand = Demand::new(profile, options.goal, largest);
    let most = options.classes.unwrap_or(MOST_CLASSES).clamp(1, hakmem_spec::MAX_CLASSES);
    let choices = optimise::choices(&demand, &forced, &closed, &prices, most);
    let mut choice = match options.classes {
        None => optimise::knee(&choices).cloned(),
        Some(count) => choices.iter().find(|choice| choice.sizes.len() == count).cloned(),
    };
    if options.greedy {
        choice = choice.and_then(|best| optimise::greedy(&demand, &forced, &closed, &prices, best.sizes.len()));
    }
    let Some(choice) = choice else {
        return fail(match options.classes {
            Some(count) => format!("cannot choose {count} classes: {} are pinned", forced.len()),
            None => "the profile has no request that a class could serve".to_owned(),
        });
    };
    let mut sizes = choice.sizes.clone();
    // The reserve: powers of two above what was seen, up to the largest class of the spec. An unused class costs
    // nothing.
    let mut beyond = demand.largest.max(8).next_power_of_two();
    while beyond <= largest {
        if beyond > demand.largest && !sizes.contains(&beyond) && !closed.iter().any(|range| range.contains(&beyond)) {
            sizes.push(beyond);
        }
        beyond *= 2;
    }
    sizes.sort_unstable();
    let cost_without_cache = large::cost_without_cache(profile, largest);
    let keep_no_large = large::should_keep_none(cost_without_cache, options.goal, entries.large_cache());
    let rewrite = |sizes: &[u32]| {
        // The smallest class that serves the largest request of the profile.
        let needed = sizes.iter().copied().filter(|&size| size >= demand.largest).min().unwrap_or(u32::MAX);
        let is_reserve = |&size: &u32| size > needed && !forced.contains(&size);
        let reserve: Vec<u32> = sizes.iter().copied().filter(is_reserve).collect();
        let classes = new_classes(&entries, spec, profile, options.goal, sizes, &reserve)?;
        let text = entries.clone().with(&classes, keep_no_large)?;
        let source = Source::file(loaded.source.name.clone(), text.clone());
        let tuned = hakmem_spec::parse(&source).map_err(|errors| Failure::of_spec(&source, &errors))?;
        let after = Evaluation::new(&tuned, profile);
        Ok::<_, Failure>((text, tuned, after, reserve))
    };
    let before = Evaluation::new(spec, profile);
    let (mut text, mut tuned, mut after, mut reserve) = rewrite(&sizes)?;
    let saving = percent(before.resident(&prices) - after.resident(&prices), profile.bytes_at_peak() as f64);
    let unchanged = options.classes.is_none() && !options.greedy && saving <= options.margin;
    if unchanged {
        sizes = spec.classes.iter().map(|class| class.size).collect();
        (text, tuned, after, reserve) = rewrite(&sizes)?;
        if tuned == *spec {
            text.clone_from(&loaded.source.text);
        }
    }
    Ok(Tuned {
        chosen: sizes.len() - reserve.len(),
        before,
        after,
        choices,
        text,
        spec: tuned,
        prices,
        reserve,
        saving,
        unchanged,
        cost_without_cache,
    })
}

/// The chosen sizes with the settings that their traffic calls for.
fn new_classes(
    entries: &Entries,
    spec: &Spec,
    profile: &Profile,
    goal: Goal,
    sizes: &[u32],
    reserve: &[u32],
) -> Outcome<Vec<NewClass>> {
    // The traffic of each class under a spec with these sizes.
    let plain = plain_spec(spec, sizes)?;
    let evaluation = Evaluation::new(&plain, profile);
    let (all, threads) = (evaluation.arrivals(), profile.busy_threads());
    let mut classes = Vec::new();
    for used in &evaluation.classes {
        let seen = !reserve.contains(&used.size);
        let like = entries.like(used.size);
        let settings =
            like.map_or_else(Settings::default, |like| settings(like, used, all, threads, goal, spec.geometry));
        classes.push(NewClass { size: used.size, settings, seen });
    }
    Ok(classes)
}

/// A spec with these sizes, and the geometry of `spec`.
fn plain_spec(spec: &Spec, sizes: &[u32]) -> Outcome<Spec> {
    let (superslab, slab) = (spec.geometry.superslab, spec.geometry.slab);
    let text = format!("superslab = {{ size = {superslab}, slab = {slab} }}\n[[class]]\nsizes = {sizes:?}\n");
    let source = Source::file("the chosen classes", text);
    hakmem_spec::parse(&source).map_err(|errors| Failure::of_spec(&source, &errors))
}

/// `part` in percent of `whole`.
pub(crate) fn percent(part: f64, whole: f64) -> f64 {
    100.0 * part / whole.max(1.0)
}
