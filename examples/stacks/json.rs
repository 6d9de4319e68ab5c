//! Everything that was measured, for other programs.

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::args::Options;
use crate::clock::Clock;
use crate::measure::{Comparison, Row};

/// Writes one JSON object. Times are in nanoseconds, memory is in bytes, and counts are of one run of that many
/// operations.
pub(crate) fn write(out: &mut impl Write, options: &Options, comparisons: &[Comparison]) -> io::Result<()> {
    let clock = Clock::get();
    writeln!(out, "{{\"rounds\": {}, \"quick\": {},", options.rounds, options.quick)?;
    writeln!(
        out,
        " \"clock\": {{\"overhead_ns\": {:.2}, \"step_ns\": {:.2}}},",
        clock.nanoseconds_of_overhead(),
        clock.nanoseconds_of_step()
    )?;
    writeln!(out, " \"workloads\": [")?;
    for (index, comparison) in comparisons.iter().enumerate() {
        let (name, about) = (string(comparison.workload.name), string(comparison.workload.about));
        let best = string(comparison.rows[comparison.best].stack);
        writeln!(out, "  {{\"name\": {name}, \"about\": {about}, \"best\": {best}, \"stacks\": [")?;
        for (index, row) in comparison.rows.iter().enumerate() {
            writeln!(out, "   {}{}", object(row), comma(index, comparison.rows.len()))?;
        }
        writeln!(out, "  ]}}{}", comma(index, comparisons.len()))?;
    }
    writeln!(out, " ]}}")
}

fn object(row: &Row) -> String {
    let time = &row.time;
    let [p50, p99, p999] = row.latency;
    let layers = row.counts.layers.iter().map(|counts| {
        format!(
            "{{\"layer\": {}, \"hits\": {}, \"misses\": {}, \"refills\": {}, \"spills\": {}}}",
            string(counts.layer),
            counts.hits,
            counts.misses,
            counts.refills,
            counts.spills
        )
    });
    format!(
        "{{\"name\": {}, \"ns_per_op\": {{\"median\": {:.4}, \"lower_quartile\": {:.4}, \"upper_quartile\": {:.4}, \
         \"min\": {:.4}, \"max\": {:.4}, \"rounds\": [{}]}}, \
         \"latency_ns\": {{\"p50\": {p50:.2}, \"p99\": {p99:.2}, \"p99_9\": {p999:.2}}}, \
         \"counted\": {{\"operations\": {}, \"layers\": [{}]}}, \"resident_bytes\": {}}}",
        string(row.stack),
        time.median,
        time.lower,
        time.upper,
        time.min,
        time.max,
        list(row.rounds.iter().map(|round| format!("{round:.4}"))),
        row.counts.operations,
        list(layers),
        row.resident.map_or_else(|| "null".to_owned(), |bytes| bytes.to_string()),
    )
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

fn comma(index: usize, count: usize) -> &'static str {
    if index + 1 < count { "," } else { "" }
}

/// `text` as a JSON string.
fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            // Writing to a `String` does not fail.
            letter if letter.is_control() => drop(write!(quoted, "\\u{:04x}", u32::from(letter))),
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted() {
        assert_eq!(string("16–1,024 B"), "\"16–1,024 B\"");
        assert_eq!(string("a\"b\\c\nd"), "\"a\\\"b\\\\c\\u000ad\"");
    }
}
