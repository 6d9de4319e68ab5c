//! The results as a table of Markdown.

use std::fmt::Write as _;

use hakmem_harness::statistics::median;
use serde_json::Value;

/// A row for each program: waste predicted and realised, and medians against the default spec.
pub(crate) fn markdown(programs: &[Value]) -> String {
    let mut table = String::from(
        "| program | classes | waste, default | tuned, predicted | realised | peak RSS, default | of it | tuned | greedy \
         | processor time, default | tuned | greedy |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for program in programs {
        let tuning = &program["tuning"];
        let part = |of: &Value, what: &str| {
            let (waste, requested) = (of[what].as_f64().unwrap_or(0.0), of["requested"].as_f64().unwrap_or(1.0));
            format!("{:.2} %", 100.0 * waste / requested)
        };
        let typical = |which: &str, field: &str| {
            let runs = program["runs"][which].as_array().map_or(&[][..], Vec::as_slice);
            let values: Vec<f64> = runs.iter().filter_map(|run| run[field].as_f64()).collect();
            median(&values).unwrap_or(f64::NAN)
        };
        let against = |which: &str, field: &str| {
            format!("{:+.1} %", 100.0 * (typical(which, field) / typical("default", field) - 1.0))
        };
        // What the default's classes waste, in parts of all that is resident.
        let wasted = tuning["before"]["waste"].as_f64().unwrap_or(f64::NAN) / tuning["runs"].as_f64().unwrap_or(1.0);
        let resident = typical("default", "peak_rss_kib") * 1024.0;
        let _ = writeln!(
            table,
            "| {} | {} → {} | {} | {} | {} | {:.1} MiB | {:.1} % | {} | {} | {:.2} s | {} | {} |",
            program["program"].as_str().unwrap_or_default(),
            tuning["before"]["classes"],
            tuning["after"]["classes"],
            part(&tuning["before"], "waste"),
            part(&tuning["after"], "waste"),
            part(&tuning["realised"], "waste"),
            resident / f64::from(1 << 20),
            100.0 * wasted / resident,
            against("tuned", "peak_rss_kib"),
            against("greedy", "peak_rss_kib"),
            typical("default", "processor_seconds"),
            against("tuned", "processor_seconds"),
            against("greedy", "processor_seconds"),
        );
    }
    table
}
