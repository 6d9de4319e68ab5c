//! Everything that was measured, and what follows from it.

use hakmem_benches::Report;
use hakmem_benches::workloads::{self, Workload};
use hakmem_harness::statistics::{self, Summary};
use serde::{Deserialize, Serialize};

use crate::allocators::{HAKMEM, is_peer};
use crate::callgrind::Counted;
use crate::machine::Machine;

/// A whole comparison; as JSON, it is the raw results.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) rounds: u32,
    pub(crate) quick: bool,
    /// Names and proofs, in the order of every [`Measured::arms`].
    pub(crate) allocators: Vec<(String, String)>,
    pub(crate) workloads: Vec<Measured>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) instructions: Vec<Counted>,
}

/// A workload on all allocators.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) about: String,
    /// The run that this was taken over from, if it is not of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) earlier: Option<String>,
    /// Nanoseconds an operation without an allocator, where that is measured: what the memory itself costs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) floor: Vec<f64>,
    pub(crate) arms: Vec<Arm>,
}

/// A workload on one allocator.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Arm {
    pub(crate) rounds: Vec<Report>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) failures: Vec<String>,
}

/// The groups that are in no mean but their own: their ratios lie far from 1, both ways, and the means over all others
/// stay comparable with those that were recorded before there were such groups.
pub(crate) const APART: [&str; 2] = ["large", "idle"];
/// What the means over all groups are called.
pub(crate) const ALL: &str = "all but large and idle";

/// A figure of a report.
pub(crate) type Figure = fn(&Report) -> f64;

/// Nanoseconds an operation.
pub(crate) const TIME: Figure = Report::time;
/// Bytes resident at most.
pub(crate) const RESIDENT: Figure = |report| report.peak_resident as f64;
/// The same without files' pages: less the code, which is not the allocator's choice.
pub(crate) const ANONYMOUS: Figure = |report| report.peak_anonymous as f64;

impl Arm {
    /// A figure over the rounds; none where a run has failed.
    pub(crate) fn summary(&self, figure: Figure) -> Option<Summary> {
        let values: Vec<f64> = self.rounds.iter().map(figure).collect();
        statistics::summary(&values).filter(|_| self.failures.is_empty())
    }

    /// The round with the median time: what is not a number is shown from there.
    pub(crate) fn typical(&self) -> Option<&Report> {
        let mut rounds: Vec<&Report> = self.rounds.iter().collect();
        rounds.sort_by(|one, other| one.time().total_cmp(&other.time()));
        rounds.get(rounds.len() / 2).copied()
    }
}

impl Measured {
    pub(crate) fn new(workload: &Workload, arms: usize) -> Measured {
        Measured {
            name: workload.name.to_owned(),
            group: workload.group.to_owned(),
            about: workload.about.to_owned(),
            earlier: None,
            floor: Vec::new(),
            arms: (0..arms).map(|_| Arm::default()).collect(),
        }
    }

    /// The median time without an allocator, if that was measured.
    pub(crate) fn floor(&self) -> Option<f64> {
        statistics::median(&self.floor)
    }

    /// Whether any round has something.
    pub(crate) fn any(&self, has: impl Fn(&Report) -> bool) -> bool {
        self.arms.iter().flat_map(|arm| &arm.rounds).any(has)
    }

    /// The median of a figure, by allocator.
    pub(crate) fn medians(&self, figure: Figure) -> Vec<Option<f64>> {
        self.arms.iter().map(|arm| arm.summary(figure).map(|summary| summary.median)).collect()
    }
}

impl Results {
    /// Runs that went wrong.
    pub(crate) fn failures(&self) -> usize {
        self.workloads.iter().flat_map(|workload| &workload.arms).map(|arm| arm.failures.len()).sum()
    }

    /// Where an allocator's figures stand, if it was measured.
    pub(crate) fn index(&self, name: &str) -> Option<usize> {
        self.allocators.iter().position(|(allocator, _)| allocator == name)
    }

    /// The workload of that name, if it was measured.
    pub(crate) fn workload(&self, name: &str) -> Option<&Measured> {
        self.workloads.iter().find(|workload| workload.name == name)
    }

    /// Keeps the workloads of an earlier run that this one has not measured, and the instructions if it counted none.
    pub(crate) fn keep(&mut self, earlier: Results) -> Result<(), String> {
        let names = |results: &Results| results.allocators.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        if names(self) != names(&earlier) {
            return Err(format!("the earlier run has other allocators: {}", names(&earlier).join(", ")));
        }
        let Machine { date, commit, .. } = &earlier.machine;
        let quick = if earlier.quick { ", a twentieth of the work" } else { "" };
        let run = format!("{date}, hakmem {commit}, rounds: {}{quick}", earlier.rounds);
        for mut workload in earlier.workloads {
            if self.workload(&workload.name).is_none() {
                workload.earlier.get_or_insert_with(|| run.clone());
                self.workloads.push(workload);
            }
        }
        // In the order in which they are listed, so that groups stay together.
        let order = workloads::all();
        self.workloads.sort_by_key(|workload| order.iter().position(|listed| listed.name == workload.name));
        if self.instructions.is_empty() {
            self.instructions = earlier.instructions;
        }
        Ok(())
    }

    /// The earlier runs from which workloads were taken over.
    pub(crate) fn earlier_runs(&self) -> Vec<&str> {
        let mut runs: Vec<&str> = self.workloads.iter().filter_map(|workload| workload.earlier.as_deref()).collect();
        runs.sort_unstable();
        runs.dedup();
        runs
    }

    /// The groups over which there are means: each, and all but [`APART`] if there are several.
    pub(crate) fn means(&self) -> Vec<Option<&str>> {
        let groups = self.groups();
        let several = (groups.len() > 1).then_some(None);
        groups.into_iter().map(Some).chain(several).collect()
    }

    /// The groups, in their order.
    pub(crate) fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = self.workloads.iter().map(|workload| workload.group.as_str()).collect();
        groups.dedup();
        groups
    }

    /// The peer with the least of `values`, which are in the order of the allocators.
    pub(crate) fn best_peer(&self, values: &[Option<f64>]) -> Option<usize> {
        self.least(values, is_peer)
    }

    /// The allocator with the least of `values`, hakmem among them.
    pub(crate) fn best(&self, values: &[Option<f64>]) -> Option<usize> {
        self.least(values, |name| name == HAKMEM || is_peer(name))
    }

    fn least(&self, values: &[Option<f64>], eligible: impl Fn(&str) -> bool) -> Option<usize> {
        let values = values.iter().zip(&self.allocators);
        statistics::smallest(values.map(|(value, (name, _))| value.filter(|_| eligible(name))))
    }

    /// hakmem's figure divided by the best peer's.
    pub(crate) fn against_best(&self, values: &[Option<f64>]) -> Option<f64> {
        Some(values[self.index(HAKMEM)?]? / values[self.best_peer(values)?]?)
    }

    /// One allocator's figure divided by another's, in all workloads of a group, or of all groups but [`APART`].
    pub(crate) fn ratios(&self, figure: Figure, group: Option<&str>, of: &str, to: &str) -> Vec<f64> {
        let (Some(of), Some(to)) = (self.index(of), self.index(to)) else { return Vec::new() };
        let ratio = |values: Vec<Option<f64>>| Some(values[of]? / values[to]?);
        self.in_group(group).filter_map(|workload| ratio(workload.medians(figure))).collect()
    }

    /// hakmem's figure divided by the best peer's, in all workloads of a group, or of all groups but [`APART`].
    pub(crate) fn ratios_to_best(&self, figure: Figure, group: Option<&str>) -> Vec<f64> {
        self.in_group(group).filter_map(|workload| self.against_best(&workload.medians(figure))).collect()
    }

    fn in_group(&self, group: Option<&str>) -> impl Iterator<Item = &Measured> {
        let is_in = move |of: &str| group.map_or(!APART.contains(&of), |group| of == group);
        self.workloads.iter().filter(move |workload| is_in(&workload.group))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use hakmem_benches::{Outcome, Sample};

    /// Two workloads on three allocators.
    pub(crate) fn example() -> Results {
        let report = |nanoseconds, peak| Report {
            proof: String::new(),
            workload: String::new(),
            outcome: Outcome {
                operations: 100,
                nanoseconds,
                timeline: vec![Sample { seconds: 0.5, resident: peak, live: 0 }],
                ..Outcome::default()
            },
            peak_resident: peak,
            peak_anonymous: peak,
            final_anonymous: 0,
            minor_faults: 0,
            major_faults: 0,
            processor: (0.0, 0.0),
        };
        let arm = |times: &[u64]| Arm {
            rounds: times.iter().map(|&time| report(time, 1 << 20)).collect(),
            failures: Vec::new(),
        };
        let measured = |name: &str| Measured {
            name: name.to_owned(),
            group: "live".to_owned(),
            about: "a <test>".to_owned(),
            earlier: None,
            floor: Vec::new(),
            arms: vec![arm(&[1000, 1100, 1200]), arm(&[2000]), arm(&[550, 550])],
        };
        Results {
            machine: Machine::default(),
            rounds: 3,
            quick: false,
            allocators: ["system", "mimalloc", "hakmem"].map(|name| (name.to_owned(), String::new())).into(),
            workloads: vec![measured("live_1e3"), measured("live_1e4")],
            instructions: Vec::new(),
        }
    }

    #[test]
    fn ratios_are_of_medians() {
        let results = example();
        let medians = results.workloads[0].medians(TIME);
        assert_eq!(medians, [Some(11.0), Some(20.0), Some(5.5)]);
        assert_eq!((results.best(&medians), results.best_peer(&medians)), (Some(2), Some(0)));
        assert_eq!(results.against_best(&medians), Some(0.5));
        assert_eq!(results.ratios(TIME, None, "hakmem", "mimalloc"), [0.275, 0.275]);
        assert_eq!(results.ratios_to_best(RESIDENT, Some("live")), [1.0, 1.0]);
        assert!(results.ratios_to_best(TIME, Some("suite")).is_empty());
    }

    #[test]
    fn large_blocks_are_in_no_mean_but_their_own() {
        let mut results = example();
        assert_eq!(results.means(), [Some("live")]);
        results.workloads[1].group = APART[0].to_owned();
        assert_eq!(results.means(), [Some("live"), Some(APART[0]), None]);
        assert_eq!(results.ratios(TIME, None, "hakmem", "system").len(), 1);
        assert_eq!(results.ratios_to_best(TIME, Some(APART[0])).len(), 1);
        let groups: Vec<_> = workloads::all().iter().map(|workload| workload.group).collect();
        assert!(groups.contains(&APART[0]));
    }

    #[test]
    fn a_failure_hides_the_figure() {
        let mut results = example();
        results.workloads[0].arms[0].failures.push("crashed".to_owned());
        assert_eq!(results.workloads[0].medians(TIME)[0], None);
        assert_eq!(results.failures(), 1);
    }

    #[test]
    fn an_earlier_run_fills_what_this_one_has_not_measured() {
        let mut earlier = example();
        earlier.workloads[0].name = "lifo_16".to_owned();
        earlier.machine.date = "yesterday".to_owned();
        let written = serde_json::to_string(&earlier).unwrap();
        let mut results = example();
        results.keep(serde_json::from_str(&written).unwrap()).unwrap();
        let names: Vec<_> = results.workloads.iter().map(|it| (it.name.as_str(), it.earlier.is_some())).collect();
        assert_eq!(names, [("lifo_16", true), ("live_1e3", false), ("live_1e4", false)]);
        assert!(results.earlier_runs()[0].starts_with("yesterday, "));

        let mut other = example();
        other.allocators.pop();
        assert!(results.keep(other).unwrap_err().contains("other allocators"));
    }
}
