//! Everything that was measured, for other programs.

use hakmem_harness::clock::Clock;
use serde_json::{Value, json};

use crate::args::Options;
use crate::compare::{Comparison, Row};

/// One JSON object. Times are in nanoseconds, memory is in bytes, and counts are of one run of that many operations.
pub(crate) fn value(options: &Options, comparisons: &[Comparison]) -> Value {
    let clock = Clock::get();
    json!({
        "rounds": options.rounds,
        "quick": options.quick,
        "clock": { "overhead_ns": rounded(clock.overhead(), 2), "step_ns": rounded(clock.step(), 2) },
        "workloads": comparisons.iter().map(workload).collect::<Vec<_>>(),
    })
}

fn workload(comparison: &Comparison) -> Value {
    json!({
        "name": comparison.workload.name,
        "about": comparison.workload.about,
        "best": comparison.rows[comparison.best].stack,
        "stacks": comparison.rows.iter().map(stack).collect::<Vec<_>>(),
    })
}

fn stack(row: &Row) -> Value {
    let time = |value| rounded(value, 4);
    let [p50, p99, p999] = row.latency.map(|value| rounded(value, 2));
    let layers = row.counts.layers.iter().map(|counts| {
        json!({
            "layer": counts.layer,
            "hits": counts.hits,
            "misses": counts.misses,
            "refills": counts.refills,
            "flushes": counts.flushes,
        })
    });
    json!({
        "name": row.stack,
        "ns_per_op": {
            "median": time(row.time.median),
            "lower_quartile": time(row.time.lower),
            "upper_quartile": time(row.time.upper),
            "min": time(row.time.min),
            "max": time(row.time.max),
            "rounds": row.rounds.iter().copied().map(time).collect::<Vec<_>>(),
        },
        "latency_ns": { "p50": p50, "p99": p99, "p99_9": p999 },
        "counted": { "operations": row.counts.operations, "layers": layers.collect::<Vec<_>>() },
        "resident_bytes": row.resident,
    })
}

/// `value` with so many digits after the point.
fn rounded(value: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (value * factor).round() / factor
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::tests::example;

    #[test]
    fn every_stack_is_there_with_every_figure() {
        let found = workload(&example(&[("a \"b\"", &[2.0, 3.00004]), ("c", &[1.0])]));
        assert_eq!((&found["best"], &found["stacks"][0]["name"]), (&json!("c"), &json!("a \"b\"")));
        assert_eq!(found["stacks"][0]["ns_per_op"]["rounds"].to_string(), "[2.0,3.0]");
        assert_eq!(found["stacks"][1]["latency_ns"], json!({ "p50": 100.0, "p99": 2000.0, "p99_9": 30_000.0 }));
        assert_eq!(found["stacks"][1]["counted"]["layers"][0]["refills"], 5);
        assert_eq!(found["stacks"][1]["resident_bytes"], 65_536);
    }
}
