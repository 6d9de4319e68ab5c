//! What the program prints on stdout.

use std::io::{self, Write};

use hakmem_harness::clock::Clock;
use hakmem_harness::numbers::{rounds, short};

use crate::args::Options;
use crate::compare::{Comparison, Row};
use crate::stacks::{SAME, STACKS};

/// What the columns mean.
pub(crate) fn legend(out: &mut impl Write, options: &Options) -> io::Result<()> {
    let clock = Clock::get();
    let (rounds, stacks) = (rounds(options.rounds), STACKS.len());
    writeln!(out, "{stacks} stacks, each an allocator in this program; each proved to own what it allocates.")?;
    writeln!(out, "ns/op: an allocation and its free; the median of {rounds}, and their middle half.")?;
    writeln!(
        out,
        "p50, p99, p99.9: ns of one allocation or one free, timed by itself, less the {:.1} ns that reading the clock \
         takes. It moves in steps of {:.1} ns; shorter differences are not seen.",
        clock.overhead(),
        clock.step(),
    )?;
    writeln!(out, "refills, flushes: of all layers, for each 1,000 operations; counted in a run that is not timed.")?;
    writeln!(
        out,
        "RSS: KiB of memory that a process of its own has afterwards and had not before. *: the least median."
    )?;
    if options.quick {
        writeln!(out, "--quick: a tenth of the work. The times say little.")?;
    }
    Ok(())
}

/// One workload's table.
pub(crate) fn comparison(out: &mut impl Write, comparison: &Comparison) -> io::Result<()> {
    let width = comparison.rows.iter().map(|row| row.stack.len()).max().unwrap_or(0);
    writeln!(out, "\n{}: {}", comparison.workload.name, comparison.workload.about)?;
    writeln!(
        out,
        "  {:<width$} {:>8} {:>15} {:>7} {:>7} {:>7} {:>8} {:>8} {:>7}",
        "stack", "ns/op", "spread", "p50", "p99", "p99.9", "refills", "flushes", "RSS"
    )?;
    for (index, row) in comparison.rows.iter().enumerate() {
        let mark = if index == comparison.best { '*' } else { ' ' };
        line(out, mark, width, row)?;
    }
    if let Some(noise) = noise(comparison) {
        writeln!(out, "  {} and {} are the same; their medians differ by {noise:.1} %.", SAME.0, SAME.1)?;
    }
    Ok(())
}

fn line(out: &mut impl Write, mark: char, width: usize, row: &Row) -> io::Result<()> {
    let spread = format!("{}–{}", short(row.time.lower), short(row.time.upper));
    let [p50, p99, p999] = row.latency.map(|time| latency(time, Clock::get().step()));
    let refills = count(row.counts.per_thousand(|layer| layer.refills));
    let flushes = count(row.counts.per_thousand(|layer| layer.flushes));
    let resident = row.resident.map_or_else(|| "–".to_owned(), |bytes| (bytes / 1024).to_string());
    writeln!(
        out,
        "{mark} {:<width$} {:>8} {spread:>15} {p50:>7} {p99:>7} {p999:>7} {refills:>8} {flushes:>8} {resident:>7}",
        row.stack,
        short(row.time.median),
    )
}

/// By how many per cent two rows of the same stack differ.
pub(crate) fn noise(comparison: &Comparison) -> Option<f64> {
    let (one, other) = (comparison.row(SAME.0)?.time.median, comparison.row(SAME.1)?.time.median);
    Some((one - other).abs() / one.min(other) * 100.0)
}

/// A time, unless it is too short for a clock that moves in steps of `step`.
fn latency(time: f64, step: f64) -> String {
    if time < step { format!("<{step:.0}") } else { short(time) }
}

/// A count, where there is one.
fn count(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(value) => short(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::tests::example;

    #[test]
    fn the_best_is_marked_and_the_noise_is_shown() {
        let compared = example(&[(SAME.0, &[2.0, 2.0]), (SAME.1, &[1.0, 3.0]), ("sll", &[1.0, 2.0])]);
        let mut out = Vec::new();
        comparison(&mut out, &compared).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("lifo: 100 blocks"), "{text}");
        assert!(lines[3].starts_with("  unified+sll "), "{text}");
        let fields: Vec<&str> = lines[5].split_whitespace().collect();
        assert_eq!(fields, ["*", "sll", "1.50", "1.25–1.75", "100", "2000", "30000", "5.00", "0", "64"]);
        assert!(lines[6].ends_with("differ by 0.0 %."), "{text}");
    }

    #[test]
    fn what_is_too_short_or_missing_is_said() {
        assert_eq!([0.0, 10.1, 10.2].map(|time| latency(time, 10.2)), ["<10", "<10", "10.2"]);
        assert_eq!([None, Some(0.0), Some(2.5)].map(count), ["–", "0", "2.50"]);
    }
}
