//! hakmem's goals, and whether the figures meet them.

use std::fmt::Write as _;

use hakmem_benches::Report;
use hakmem_harness::numbers::ratio;
use hakmem_harness::statistics::{geometric_mean, median};

use crate::allocators::{AGAIN, HAKMEM, SYSTEM, is_peer};
use crate::percentiles::{ALLOCATION_TAIL, clock_step, percentile};
use crate::results::{APART, Figure, Measured, RESIDENT, Results, TIME};

/// A goal, and whether it is met.
#[derive(Debug, PartialEq)]
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) target: String,
    pub(crate) measured: String,
    pub(crate) verdict: Verdict,
}

/// Whether a goal is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// What the goal is about was not measured.
    Open,
}

impl Verdict {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Verdict::Met => "met",
            Verdict::Missed => "missed",
            Verdict::Open => "open",
        }
    }
}

/// A ratio to the best peer, of what is named.
type Named = (String, f64);

/// Bytes in a MiB.
const MIB: f64 = 1_048_576.0;

/// All goals, in the order in which they were set.
pub(crate) fn goals(results: &Results) -> Vec<Goal> {
    let is_program = |workload: &Measured| workload.group == "programs";
    let counts = |workload: &Measured| !APART.contains(&workload.group.as_str());
    let patterns = against_best(results, |it| !is_program(it) && it.group != "latency" && counts(it), TIME);
    let programs = against_best(results, is_program, TIME);
    let noise = noise(results, is_program).unwrap_or(1.0);
    let mut goals = vec![
        each("every pattern at or below the best peer's time", &patterns, 1.0),
        mean("patterns: mean of time / the best peer's", &patterns, 0.75),
        each("every program at or below the best peer's time, but for noise", &programs, noise),
        mean("programs: mean of time / the best peer's", &programs, 0.95),
        mean("peak RSS: mean against the smallest of each workload", &against_best(results, counts, RESIDENT), 1.05),
        each_peer(results),
        kept(results, "burst_idle", "MiB kept 1 s after 400 MiB were freed, under a trickle"),
        kept(results, "burst_silent", "the same without any allocation"),
    ];
    for (name, what, most) in [
        ("realloc_growth", "growth to 64 MiB, last byte written: time / the best peer's", 1.2),
        ("realloc_written", "growth to 64 MiB, each page written: time / the best peer's", 1.2),
        ("random_free_50k", "50,000 blocks freed in random order: time / the best peer's", 1.0),
    ] {
        let value = results.workload(name).and_then(|workload| results.against_best(&workload.medians(TIME)));
        goals.push(at_most(what, value, most));
    }
    goals.push(flat(results));
    goals.extend([8, 16].map(|threads| threads_lose(results, threads)));
    goals.push(each("p99.9 of an allocation at or below the best peer's", &tails(results), 1.0));
    goals
}

/// hakmem's figure divided by the best peer's, by workload; infinite where hakmem has failed.
fn against_best(results: &Results, of: impl Fn(&Measured) -> bool, figure: Figure) -> Vec<Named> {
    let Some(hakmem) = results.index(HAKMEM) else { return Vec::new() };
    let ratio = |workload: &Measured| {
        let failed = (!workload.arms[hakmem].failures.is_empty()).then_some(f64::INFINITY);
        Some((workload.name.clone(), failed.or_else(|| results.against_best(&workload.medians(figure)))?))
    };
    results.workloads.iter().filter(|workload| of(workload)).filter_map(ratio).collect()
}

/// What two runs of the same program differ by, as a factor: twice the standard deviation of the A/A arms' ratios,
/// estimated by their median distance from 1, so that one disturbed run does not excuse all.
fn noise(results: &Results, of: impl Fn(&Measured) -> bool) -> Option<f64> {
    /// Of a normal distribution.
    const DEVIATION_TO_MEDIAN: f64 = 1.4826;
    let (one, other) = (results.index(HAKMEM)?, results.index(AGAIN)?);
    let workloads = results.workloads.iter().filter(|workload| of(workload));
    let ratio = |workload: &Measured| Some(workload.medians(TIME)[other]? / workload.medians(TIME)[one]?);
    let distances: Vec<f64> = workloads.filter_map(ratio).map(|ratio| ratio.ln().abs()).collect();
    Some((2.0 * DEVIATION_TO_MEDIAN * median(&distances)?).exp())
}

/// No ratio is above `most`; those that are, are named.
fn each(what: &'static str, ratios: &[Named], most: f64) -> Goal {
    let mut above: Vec<&Named> = ratios.iter().filter(|(_, ratio)| *ratio > most).collect();
    above.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let names: Vec<String> = above.iter().map(|(name, ratio)| format!("{name} {ratio:.2}")).collect();
    let (reached, all) = (ratios.len() - above.len(), ratios.len());
    let behind = if above.is_empty() { String::new() } else { format!("; not: {}", names.join(", ")) };
    Goal {
        what,
        target: format!("≤ {most:.2} each"),
        measured: if all == 0 { String::new() } else { format!("{reached} of {all}{behind}") },
        verdict: verdict((all > 0).then_some(above.is_empty())),
    }
}

fn mean(what: &'static str, ratios: &[Named], most: f64) -> Goal {
    let ratios: Vec<f64> = ratios.iter().map(|(_, ratio)| *ratio).collect();
    at_most(what, geometric_mean(&ratios), most)
}

fn at_most(what: &'static str, value: Option<f64>, most: f64) -> Goal {
    let verdict = verdict(value.map(|value| value <= most));
    Goal { what, target: format!("≤ {most:.2}"), measured: value.map_or(String::new(), |_| ratio(value)), verdict }
}

fn verdict(met: Option<bool>) -> Verdict {
    match met {
        None => Verdict::Open,
        Some(true) => Verdict::Met,
        Some(false) => Verdict::Missed,
    }
}

/// Peak RSS against each peer but the system's allocator.
fn each_peer(results: &Results) -> Goal {
    let peers = results.allocators.iter().map(|(name, _)| name).filter(|name| is_peer(name) && *name != SYSTEM);
    let mean = |name: &String| Some((name.clone(), geometric_mean(&results.ratios(RESIDENT, None, HAKMEM, name))?));
    let means: Vec<Named> = peers.filter_map(mean).collect();
    let listed: Vec<String> = means.iter().map(|(name, mean)| format!("{name} {mean:.2}")).collect();
    Goal {
        what: "peak RSS: mean against each peer but the system's allocator",
        target: "< 1.00 each".to_owned(),
        measured: listed.join(", "),
        verdict: verdict((!means.is_empty()).then(|| means.iter().all(|(_, mean)| *mean < 1.0))),
    }
}

/// What is kept, in MiB.
const KEPT: Figure = |report| report.outcome.kept.unwrap_or(0) as f64 / MIB;

/// What a workload keeps.
fn kept(results: &Results, workload: &str, what: &'static str) -> Goal {
    const MOST: f64 = 10.0;
    let kept = || results.workload(workload)?.medians(KEPT)[results.index(HAKMEM)?];
    let kept = kept();
    Goal {
        what,
        target: format!("≤ {MOST:.0}"),
        measured: kept.map_or(String::new(), |kept| format!("{kept:.1}")),
        verdict: verdict(kept.map(|kept| kept <= MOST)),
    }
}

/// Time from 10³ to 10⁶ live blocks, and how much of it the memory costs without an allocator.
fn flat(results: &Results) -> Goal {
    let index = results.index(HAKMEM);
    let slowest_to_fastest = |time: &dyn Fn(&Measured) -> Option<f64>| {
        let times = ["live_1e3", "live_1e4", "live_1e5", "live_1e6"].map(|name| time(results.workload(name)?));
        let times: Vec<f64> = times.into_iter().collect::<Option<_>>()?;
        let most = times.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some(most / times.iter().copied().fold(f64::INFINITY, f64::min))
    };
    let ours = slowest_to_fastest(&|workload| workload.medians(TIME)[index?]);
    let mut goal = at_most("10³ to 10⁶ live blocks: the slowest / the fastest", ours, 1.25);
    if let Some(floor) = slowest_to_fastest(&Measured::floor).filter(|_| ours.is_some()) {
        let _ = write!(goal.measured, "; the same blocks without an allocator: {floor:.2}");
    }
    goal
}

/// What more threads than cores cost, as a factor to one thread, against the peer that loses least. (Not to two: that
/// the scheduler has put them on two cores at once is less certain.)
fn threads_lose(results: &Results, threads: u32) -> Goal {
    let times = |threads: u32| Some(results.workload(&format!("threads_{threads}"))?.medians(TIME));
    let loss = |(many, one): (&Option<f64>, &Option<f64>)| Some((*many)? / (*one)?);
    let losses: Option<Vec<_>> =
        times(threads).zip(times(1)).map(|(many, one)| many.iter().zip(&one).map(loss).collect());
    let of = |index: Option<usize>| losses.as_ref().and_then(|losses| losses[index?]);
    let ours = of(results.index(HAKMEM));
    let best = of(losses.as_ref().and_then(|losses| results.best_peer(losses)));
    let what = if threads == 8 { "time in 8 threads / in 1" } else { "time in 16 threads / in 1" };
    Goal {
        what,
        target: format!("≤ {} (the least of a peer)", ratio(best)),
        measured: ours.map_or(String::new(), |_| ratio(ours)),
        verdict: verdict(ours.zip(best).map(|(ours, best)| ours <= best)),
    }
}

/// The rarest slow allocations, hakmem's divided by the best peer's. Readings that differ by less than half a step of
/// the clock are the same.
fn tails(results: &Results) -> Vec<Named> {
    let (_, of) = ALLOCATION_TAIL;
    let measured = |report: &Report| report.outcome.allocation.is_some();
    let workloads = results.workloads.iter().filter(|workload| workload.any(measured));
    let ratio = |workload: &Measured| {
        let tails = percentile(workload, of);
        let (ours, best) = (tails[results.index(HAKMEM)?]?, tails[results.best_peer(&tails)?]?);
        let same = ours > best && ours - best < clock_step(workload) / 2.0;
        Some((workload.name.clone(), if same { 1.0 } else { ours / best }))
    };
    workloads.filter_map(ratio).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::example;

    fn goal(results: &Results, what: &str) -> Goal {
        goals(results).into_iter().find(|goal| goal.what.starts_with(what)).unwrap()
    }

    #[test]
    fn what_was_not_measured_is_open() {
        let goals = goals(&example());
        let open: Vec<_> = goals.iter().filter(|goal| goal.verdict == Verdict::Open).collect();
        assert!(open.iter().all(|goal| goal.measured.is_empty()), "{open:?}");
        assert_eq!((goals.len(), open.len()), (15, 11));
    }

    #[test]
    fn goals_follow_from_the_figures() {
        let mut results = example();
        let what = "patterns: mean of time";
        assert_eq!(goal(&results, what).verdict, Verdict::Met);
        assert_eq!(goal(&results, what).measured, "0.50");
        // hakmem's two rounds twice as slow: 11.0 as the best peer's.
        for report in &mut results.workloads[0].arms[2].rounds {
            report.outcome.nanoseconds *= 4;
        }
        assert_eq!(goal(&results, what).measured, "1.00");
        assert_eq!(goal(&results, what).verdict, Verdict::Missed);
        let each = goal(&results, "every pattern");
        assert_eq!((each.measured.as_str(), each.verdict), ("1 of 2; not: live_1e3 2.00", Verdict::Missed));
        results.workloads[1].arms[2].failures.push("crashed".to_owned());
        assert!(goal(&results, "every pattern").measured.starts_with("0 of 2; not: live_1e4 inf"));
        assert_eq!(goal(&results, what).verdict, Verdict::Missed);
    }

    #[test]
    fn large_blocks_are_in_no_goal() {
        let mut results = example();
        results.workloads.iter_mut().for_each(|workload| workload.group = APART[0].to_owned());
        assert!(goals(&results).iter().all(|goal| goal.verdict == Verdict::Open));
    }

    #[test]
    fn memory_kept_counts() {
        let mut results = example();
        results.workloads[0].name = "burst_idle".to_owned();
        results.workloads[1].name = "burst_silent".to_owned();
        for workload in &mut results.workloads {
            workload.arms[2].rounds.iter_mut().for_each(|report| report.outcome.kept = Some(11 << 20));
        }
        for what in ["MiB kept", "the same without"] {
            let goal = goal(&results, what);
            assert_eq!((goal.measured.as_str(), goal.verdict), ("11.0", Verdict::Missed));
        }
        results.workloads[1].arms[2].rounds.iter_mut().for_each(|report| report.outcome.kept = Some(9 << 20));
        assert_eq!(goal(&results, "the same without").verdict, Verdict::Met);
    }

    #[test]
    fn noise_is_what_the_same_program_differs_by() {
        let mut results = example();
        results.allocators[0].0 = AGAIN.to_owned();
        // 11.0 against 5.5 in both workloads.
        let noise_of_twice = 2.0_f64.powf(2.0 * 1.4826);
        assert!(noise(&results, |_| true).is_some_and(|noise| (noise - noise_of_twice).abs() < 1e-9));
        assert_eq!(noise(&results, |_| false), None);
    }
}
