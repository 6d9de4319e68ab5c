//! What `cargo hakmem tune` prints.

use serde_json::{Value, json};

use crate::failure::say;
use crate::fit::cost::Use;
use crate::fit::evaluate::{ClassUse, Evaluation};
use crate::fit::tuned::{Tuned, percent};
use crate::profile::Profile;
use crate::record::rounded;

/// The totals as JSON.
pub(super) fn json(tuned: &Tuned, profile: &Profile) -> Value {
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

/// A number with its noun; `plural` is the ending of more than one.
fn counted(number: u64, noun: &str, plural: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { plural })
}

/// The totals before and after.
pub(super) fn totals(tuned: &Tuned, profile: &Profile) {
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
    say!("cache hit rate  {:>10}   {:>10}", hits(before), hits(after));
    if tuned.unchanged {
        say!("the sizes stay: the best would save {:.2} % of the live bytes, no more than --margin", tuned.saving);
    }
}

/// The classes of the fitted spec, each with the reason for it.
pub(super) fn classes(tuned: &Tuned) {
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
        let kept = if tuned.spec.large.cache == 0 { "unmapped when freed" } else { "kept when freed" };
        say!(
            "  large {:>13} {:>11.2} % {:>8} {:>11.1}  {kept}: keeping none would cost {:.1} % of the run time",
            "",
            percent(large.arrivals as f64, all as f64),
            large.at_peak,
            large.waste() as f64 / 1024.0,
            100.0 * tuned.cost_without_cache,
        );
    }
}

/// Why a class was chosen.
fn reason(tuned: &Tuned, used: &ClassUse, next: Option<&ClassUse>) -> String {
    let class = tuned.spec.classes.iter().find(|class| class.size == used.size);
    if class.is_some_and(|class| class.pinned) {
        return "pinned".to_owned();
    }
    if tuned.reserve.contains(&used.size) {
        return "for sizes that another input may request".to_owned();
    }
    match next {
        None => "the largest".to_owned(),
        Some(next) => {
            let saved = f64::from(next.size - used.size) * used.at_peak as f64;
            if saved > tuned.prices.class(used.size, Use::default()) {
                format!("in the class of {} its blocks would take {} more", next.size, rounded(saved as u64))
            } else {
                format!("keeps the waste of sizes from {} on small", used.requests.map_or(0, |(least, _)| least))
            }
        }
    }
}
