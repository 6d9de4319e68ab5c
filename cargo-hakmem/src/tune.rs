//! `cargo hakmem tune`: the classes that waste least for a profile, into the spec.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use hakmem_spec::{Source, Spec};
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome, fail, say};
use crate::files;
use crate::fit::cost::{Prices, Use};
use crate::fit::demand::{Demand, Goal};
use crate::fit::entry::NewClass;
use crate::fit::evaluate::{ClassUse, Evaluation};
use crate::fit::large;
use crate::fit::optimise::{self, Choice};
use crate::fit::rewrite::Entries;
use crate::fit::settings::{Settings, settings};
use crate::invocation::SpecAt;
use crate::profile::Profile;
use crate::project::{LoadedSpec, Project, Selection};
use crate::record::rounded;

/// More classes than this are looked at only where the user asks for them.
const MOST_CLASSES: usize = 64;

/// Percent of the live bytes that other sizes must save for a spec to get them. What is predicted is no more exact: in
/// `benches/programs/src/cache.rs`, sizes that were to save 1.5 % saved nothing (docs/LEDGER.md).
const MARGIN: f64 = 2.0;

/// Its command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Profiles of recorded runs, which are added up
    #[arg(required = true, value_name = "PROFILE")]
    profiles: Vec<PathBuf>,
    /// How many classes; without it, as many as save more than they cost
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u8).range(1..))]
    classes: Option<u8>,
    /// Choose the classes one after the other instead of together, as other tools do: to compare
    #[arg(long)]
    greedy: bool,
    /// Print the totals as JSON
    #[arg(long)]
    json: bool,
    /// What the classes are chosen for
    #[arg(long = "for", value_name = "GOAL", default_value = "balanced")]
    goal: Goal,
    /// Change nothing; fail if the spec is worse than the best by more than the margin
    #[arg(long)]
    check: bool,
    /// In percent of the live bytes: sizes that save less are not changed, and --check allows them
    #[arg(long, value_name = "PERCENT", default_value_t = MARGIN)]
    margin: f64,
    /// Where the tuned spec goes, instead of the place that it came from
    #[arg(long, value_name = "PATH", conflicts_with = "check")]
    out: Option<PathBuf>,
    /// A spec, instead of the project's
    #[arg(long, value_name = "PATH")]
    spec: Option<PathBuf>,
    #[command(flatten)]
    selection: Selection,
}

/// A spec, and what it becomes for a profile.
#[derive(Debug)]
pub(crate) struct Tuned {
    /// The best choice of each number of classes.
    pub(crate) choices: Vec<Choice>,
    /// The number that was chosen: of classes that the profile asks for.
    pub(crate) chosen: usize,
    /// The new text, and what it says.
    pub(crate) text: String,
    pub(crate) spec: Spec,
    /// Before and after.
    pub(crate) before: Evaluation,
    pub(crate) after: Evaluation,
    pub(crate) prices: Prices,
    /// The sizes that are there for no request of the profile.
    pub(crate) reserve: Vec<u32>,
    /// What the best sizes would save, in percent of the live bytes.
    saving: f64,
    /// Whether that is too little, and the sizes are those of before.
    stays: bool,
    /// The part of the time that it would take to keep none of the large blocks that are freed.
    price_of_no_large: f64,
}

/// Tunes, or checks.
pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let profile = Profile::read_all(&arguments.profiles)?;
    let place = Place::find(arguments)?;
    let loaded = place.spec()?;
    let wish = Wish {
        goal: arguments.goal,
        classes: arguments.classes.map(usize::from),
        greedy: arguments.greedy,
        margin: arguments.margin,
    };
    let tuned = tune(&loaded, &profile, wish)?;
    if arguments.json {
        say!("{:#}", json(&tuned, &profile));
    } else {
        print_totals(&tuned, &profile);
    }
    if arguments.check {
        return check(&loaded.spec, &tuned, arguments);
    }
    if !arguments.json {
        print_classes(&tuned);
    }
    let place = place.write(&tuned.text)?;
    if !arguments.json {
        say!("wrote {place}");
    }
    Ok(())
}

/// Where the spec is, and where the tuned one goes.
struct Place {
    project: Option<Project>,
    spec: Option<PathBuf>,
    out: Option<PathBuf>,
}

impl Place {
    fn find(arguments: &Arguments) -> Outcome<Self> {
        let project = match &arguments.spec {
            Some(_) => None,
            None => Some(Project::find(&arguments.selection)?),
        };
        let nowhere = project.as_ref().is_some_and(|project| project.invocation.spec == SpecAt::Default);
        if nowhere && arguments.out.is_none() && !arguments.check {
            return fail(
                "the macro uses the built-in spec, which cannot be changed: name a file with --out, and then in the \
                 macro, as in `pub struct Heap = \"classes.toml\";`",
            );
        }
        Ok(Self { project, spec: arguments.spec.clone(), out: arguments.out.clone() })
    }

    fn spec(&self) -> Outcome<LoadedSpec> {
        match (&self.project, &self.spec) {
            (_, Some(path)) => LoadedSpec::read(path),
            (Some(project), None) => project.spec(),
            (None, None) => fail("there is no spec"),
        }
    }

    /// Writes the spec and says where.
    fn write(&self, text: &str) -> Outcome<String> {
        let file = self.out.clone().or(self.spec.clone()).or(self.project.as_ref().and_then(Project::spec_file));
        if let Some(path) = file {
            files::write("the spec", &path, text)?;
            return Ok(path.display().to_string());
        }
        let Some(project) = &self.project else { return fail("there is no place for the spec") };
        let SpecAt::Inline { range, .. } = &project.invocation.spec else { return fail("the spec is built in") };
        let file: &Path = &project.invocation.file;
        let mut source = files::read("the program", file)?;
        source.replace_range(range.clone(), text);
        files::write("the program", file, &source)?;
        Ok(format!("the spec in {}", file.display()))
    }
}

/// What a user wants of the classes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) goal: Goal,
    /// How many; `None` as many as save more than they cost, or those that there are if these save no more than the margin.
    pub(crate) classes: Option<usize>,
    pub(crate) greedy: bool,
    pub(crate) margin: f64,
}

impl Default for Wish {
    fn default() -> Self {
        Self { goal: Goal::default(), classes: None, greedy: false, margin: MARGIN }
    }
}

/// The best spec for a profile that begins as `loaded`.
pub(crate) fn tune(loaded: &LoadedSpec, profile: &Profile, wish: Wish) -> Outcome<Tuned> {
    if profile.allocations() == 0 {
        return fail("the profile has no allocation");
    }
    let spec = &loaded.spec;
    let entries = Entries::new(&loaded.source.text, spec)?;
    let pinned: Vec<&[hakmem_spec::Class]> = entries.pinned().collect();
    let forced: Vec<u32> = pinned.iter().flat_map(|classes| classes.iter().map(|class| class.size)).collect();
    let closed: Vec<RangeInclusive<u32>> =
        pinned.iter().filter_map(|classes| Some(classes.first()?.size..=classes.last()?.size)).collect();
    // Larger ones are large blocks with either spec.
    let largest = entries.largest();
    let prices = Prices::new(spec.geometry, profile.busy_threads());
    let demand = Demand::new(profile, wish.goal, largest);
    let most = wish.classes.unwrap_or(MOST_CLASSES).clamp(1, hakmem_spec::MAX_CLASSES);
    let choices = optimise::choices(&demand, &forced, &closed, &prices, most);
    let mut choice = match wish.classes {
        None => optimise::knee(&choices).cloned(),
        Some(count) => choices.iter().find(|choice| choice.sizes.len() == count).cloned(),
    };
    if wish.greedy {
        choice = choice.and_then(|best| optimise::greedy(&demand, &forced, &closed, &prices, best.sizes.len()));
    }
    let Some(choice) = choice else {
        return fail(match wish.classes {
            Some(count) => format!("there is no way to have {count} classes: {} are pinned", forced.len()),
            None => "the profile has no request that a class could serve".to_owned(),
        });
    };
    let mut sizes = choice.sizes.clone();
    // A power of two each beyond what was seen, as far as the spec reached: a class that nobody uses costs nothing.
    let mut beyond = demand.largest.max(8).next_power_of_two();
    while beyond <= largest {
        if beyond > demand.largest && !sizes.contains(&beyond) && !closed.iter().any(|range| range.contains(&beyond)) {
            sizes.push(beyond);
        }
        beyond *= 2;
    }
    sizes.sort_unstable();
    let price_of_no_large = large::price_of_none(profile, largest);
    let keeps_no_large = large::keeps_none(price_of_no_large, wish.goal, entries.large_cache());
    let with = |sizes: &[u32]| {
        // Beyond what the largest request of the profile needs.
        let needed = sizes.iter().copied().filter(|&size| size >= demand.largest).min().unwrap_or(u32::MAX);
        let is_reserve = |&size: &u32| size > needed && !forced.contains(&size);
        let reserve: Vec<u32> = sizes.iter().copied().filter(is_reserve).collect();
        let classes = new_classes(&entries, spec, profile, wish.goal, sizes, &reserve)?;
        let text = entries.clone().with(&classes, keeps_no_large)?;
        let source = Source::file(loaded.source.name.clone(), text.clone());
        let tuned = hakmem_spec::parse(&source).map_err(|errors| Failure::of_spec(&source, &errors))?;
        let after = Evaluation::new(&tuned, profile);
        Ok::<_, Failure>((text, tuned, after, reserve))
    };
    let before = Evaluation::new(spec, profile);
    let (mut text, mut tuned, mut after, mut reserve) = with(&sizes)?;
    let saving = percent(before.resident(&prices) - after.resident(&prices), profile.bytes_at_peak() as f64);
    let stays = wish.classes.is_none() && !wish.greedy && saving <= wish.margin;
    if stays {
        sizes = spec.classes.iter().map(|class| class.size).collect();
        (text, tuned, after, reserve) = with(&sizes)?;
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
        stays,
        price_of_no_large,
    })
}

/// The chosen sizes with their settings.
fn new_classes(
    entries: &Entries,
    spec: &Spec,
    profile: &Profile,
    goal: Goal,
    sizes: &[u32],
    reserve: &[u32],
) -> Outcome<Vec<NewClass>> {
    // What each class would have to do, with nothing decided but the sizes.
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

/// A spec with these sizes and the geometry of another.
fn plain_spec(spec: &Spec, sizes: &[u32]) -> Outcome<Spec> {
    let (superslab, slab) = (spec.geometry.superslab, spec.geometry.slab);
    let text = format!("superslab = {{ size = {superslab}, slab = {slab} }}\n[[class]]\nsizes = {sizes:?}\n");
    let source = Source::file("the chosen classes", text);
    hakmem_spec::parse(&source).map_err(|errors| Failure::of_spec(&source, &errors))
}

/// What is printed in front of the classes, for programs.
fn json(tuned: &Tuned, profile: &Profile) -> Value {
    let totals = |of: &Evaluation| {
        json!({
            "classes": of.classes.len(),
            "requested": of.requested(),
            "waste": of.waste(),
            "resident": of.resident(&tuned.prices),
            "hit_rate": of.hit_rate(),
        })
    };
    json!({ "runs": profile.runs, "chosen": tuned.chosen, "before": totals(&tuned.before), "after": totals(&tuned.after) })
}

fn percent(part: f64, whole: f64) -> f64 {
    100.0 * part / whole.max(1.0)
}

/// A number with its noun.
fn counted(number: u64, noun: &str, plural: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { plural })
}

fn print_totals(tuned: &Tuned, profile: &Profile) {
    let mean = |bytes: u64| rounded(bytes / profile.runs.max(1));
    say!(
        "{}, {} allocations, {} alive at the peak, {}",
        counted(profile.runs, "process", "es"),
        profile.allocations(),
        mean(profile.bytes_at_peak()),
        counted(profile.busy_threads(), "busy thread", "s"),
    );
    say!("                    before        after   (predicted, at the peak)");
    let (before, after) = (&tuned.before, &tuned.after);
    say!("classes         {:>10}   {:>10}", before.classes.len(), after.classes.len());
    let waste = |of: &Evaluation| format!("{:.2} %", percent(of.waste() as f64, of.requested() as f64));
    say!("internal waste  {:>10}   {:>10}", mean(before.waste()), mean(after.waste()));
    say!("                {:>10}   {:>10}", waste(before), waste(after));
    let resident = |of: &Evaluation| mean(of.resident(&tuned.prices) as u64);
    say!("heap, resident  {:>10}   {:>10}", resident(before), resident(after));
    let hits = |of: &Evaluation| format!("{:.2} %", 100.0 * of.hit_rate());
    say!("front hit rate  {:>10}   {:>10}", hits(before), hits(after));
    if tuned.stays {
        say!("the sizes stay: the best would save {:.2} % of the live bytes, no more than --margin", tuned.saving);
    }
}

/// Why each class is there.
fn print_classes(tuned: &Tuned) {
    say!("\n   size        serves   allocations  at peak   waste KiB  why");
    let all = tuned.after.arrivals();
    let classes = &tuned.after.classes;
    for (number, used) in classes.iter().enumerate() {
        let serves = used.requests.map_or_else(String::new, |(least, most)| format!("{least}–{most}"));
        let why = reason(tuned, used, classes.get(number + 1));
        say!(
            "{:>7} {serves:>13} {:>11.2} % {:>8} {:>11.1}  {why}",
            used.size,
            percent(used.arrivals as f64, all as f64),
            used.at_peak,
            used.waste() as f64 / 1024.0,
        );
    }
    if tuned.after.large.arrivals > 0 {
        let large = &tuned.after.large;
        let kept = if tuned.spec.large.cache == 0 { "none is kept when it is freed" } else { "kept when freed" };
        say!(
            "  large {:>13} {:>11.2} % {:>8} {:>11.1}  {kept}: to keep none takes {:.1} % of the time",
            "",
            percent(large.arrivals as f64, all as f64),
            large.at_peak,
            large.waste() as f64 / 1024.0,
            100.0 * tuned.price_of_no_large,
        );
    }
}

/// What would be lost without a class.
fn reason(tuned: &Tuned, used: &ClassUse, next: Option<&ClassUse>) -> String {
    let class = tuned.spec.classes.iter().find(|class| class.size == used.size);
    if class.is_some_and(|class| class.pinned) {
        return "pinned".to_owned();
    }
    if tuned.reserve.contains(&used.size) {
        return "for sizes that another input may ask for".to_owned();
    }
    match next {
        None => "the largest".to_owned(),
        Some(next) => {
            let saved = f64::from(next.size - used.size) * used.at_peak as f64;
            if saved > tuned.prices.class(used.size, Use::default()) {
                format!("in the class of {} its blocks would take {} more", next.size, rounded(saved as u64))
            } else {
                format!(
                    "keeps sizes from {} on within reach of their block",
                    used.requests.map_or(0, |(least, _)| least)
                )
            }
        }
    }
}

/// Compares the spec with the best one.
fn check(spec: &Spec, tuned: &Tuned, arguments: &Arguments) -> Outcome<()> {
    let Tuned { saving, .. } = tuned;
    if *saving > arguments.margin {
        return fail(format!(
            "the spec costs {saving:.2} % of the live bytes more than the best for the profile ({} classes, the best \
             has {}); {} % are allowed",
            spec.classes.len(),
            tuned.spec.classes.len(),
            arguments.margin
        ));
    }
    say!("the spec costs {saving:.2} % of the live bytes more than the best; {} % are allowed", arguments.margin);
    Ok(())
}
