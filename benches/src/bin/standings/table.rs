//! What the program prints on stdout.

use std::io::{self, Write};

use hakmem_harness::numbers::{ratio, short};
use hakmem_harness::statistics::{Summary, geometric_mean};

use crate::allocators::{AGAIN, ALLOCATORS, HAKMEM, SYSTEM};
use crate::goals::{Goal, goals};
use crate::percentiles::{PERCENTILES, clock_step, percentile};
use crate::results::{ALL, ANONYMOUS, Figure, Measured, RESIDENT, Results, TIME};

/// Width of the names and of each other column.
const NAME: usize = 30;
const COLUMN: usize = 13;

/// Everything.
pub(crate) fn write(out: &mut impl Write, results: &Results) -> io::Result<()> {
    writeln!(out, "{}", results.machine.text())?;
    for (name, proof) in &results.allocators {
        writeln!(out, "  {name:<13} {proof}")?;
    }
    let (name, version): (Vec<_>, Vec<_>) = results.machine.packages.iter().cloned().unzip();
    let packages: Vec<_> = name.iter().zip(&version).map(|(name, version)| format!("{name} {version}")).collect();
    writeln!(out, "  packages: {}", packages.join(", "))?;
    if results.quick {
        writeln!(out, "--quick: a twentieth of the work. The times say little.")?;
    }

    for run in results.earlier_runs() {
        writeln!(out, "of an earlier run, {run}:")?;
        let names: Vec<&str> = results
            .workloads
            .iter()
            .filter(|it| it.earlier.as_deref() == Some(run))
            .map(|it| it.name.as_str())
            .collect();
        writeln!(out, "  {}", names.join(", "))?;
    }

    let rounds = results.rounds;
    writeln!(
        out,
        "\nTime: ns an operation, the median of {rounds} rounds ± half the middle half of them, in per cent"
    )?;
    section(out, results, |out, workload| {
        line(out, results, workload, TIME, |summary| {
            let spread = (summary.upper - summary.lower) / 2.0 / summary.median * 100.0;
            format!("{} ±{spread:.0}", short(summary.median))
        })
    })?;
    means(out, results, TIME)?;

    writeln!(out, "\nPeak RSS: MiB, the median")?;
    section(out, results, |out, workload| {
        line(out, results, workload, RESIDENT, |summary| short(summary.median / f64::from(1 << 20)))
    })?;
    means(out, results, RESIDENT)?;
    writeln!(out, " without files' pages")?;
    means(out, results, ANONYMOUS)?;

    kept(out, results)?;
    latencies(out, results)?;
    instructions(out, results)?;
    closing(out, results)?;
    reached(out, results)
}

/// A table with a line for each workload, by group.
fn section<W: Write>(
    out: &mut W,
    results: &Results,
    mut line: impl FnMut(&mut W, &Measured) -> io::Result<()>,
) -> io::Result<()> {
    header(out, results, "hakmem/best")?;
    for group in results.groups() {
        writeln!(out, " {group}")?;
        for workload in results.workloads.iter().filter(|workload| workload.group == group) {
            line(out, workload)?;
        }
    }
    Ok(())
}

fn header(out: &mut impl Write, results: &Results, last: &str) -> io::Result<()> {
    write!(out, "{:NAME$}", "")?;
    for (name, _) in &results.allocators {
        write!(out, "{name:>COLUMN$}")?;
    }
    writeln!(out, "{last:>COLUMN$}")
}

/// The columns of a line; the least value has a star, and the last column is hakmem's ratio to the best peer.
fn cells(
    out: &mut impl Write,
    results: &Results,
    name: &str,
    values: &[Option<f64>],
    texts: &[String],
) -> io::Result<()> {
    let best = results.best(values);
    write!(out, "{:NAME$}", format!("  {name}"))?;
    for (index, text) in texts.iter().enumerate() {
        let star = if best == Some(index) { "*" } else { "" };
        write!(out, "{:>COLUMN$}", format!("{star}{text}"))?;
    }
    writeln!(out, "{:>COLUMN$}", ratio(results.against_best(values)))
}

fn line(
    out: &mut impl Write,
    results: &Results,
    workload: &Measured,
    figure: Figure,
    text: impl Fn(Summary) -> String,
) -> io::Result<()> {
    let texts: Vec<String> = workload
        .arms
        .iter()
        .map(|arm| match arm.summary(figure) {
            Some(summary) => text(summary),
            None => "failed".to_owned(),
        })
        .collect();
    cells(out, results, &workload.name, &workload.medians(figure), &texts)
}

/// Geometric means over the workloads, as ratios to the system's allocator, for each group and all.
fn means(out: &mut impl Write, results: &Results, figure: Figure) -> io::Result<()> {
    for group in results.means() {
        write!(out, "{:NAME$}", format!(" mean, {}", group.unwrap_or(ALL)))?;
        for (name, _) in &results.allocators {
            write!(out, "{:>COLUMN$}", ratio(geometric_mean(&results.ratios(figure, group, name, SYSTEM))))?;
        }
        writeln!(out, "{:>COLUMN$}", ratio(geometric_mean(&results.ratios_to_best(figure, group))))?;
    }
    Ok(())
}

/// What remains resident a second after the last free.
fn kept(out: &mut impl Write, results: &Results) -> io::Result<()> {
    let kept: Figure = |report| report.outcome.kept.unwrap_or(0) as f64;
    let workloads = |workload: &&Measured| workload.any(|report| report.outcome.kept.is_some());
    if results.workloads.iter().any(|workload| workloads(&workload)) {
        writeln!(out, "\nKept one second after the last free: MiB")?;
        header(out, results, "hakmem/best")?;
    }
    for workload in results.workloads.iter().filter(workloads) {
        let mib = |bytes: f64| format!("{:.1}", bytes / f64::from(1 << 20));
        let texts: Vec<_> =
            workload.medians(kept).into_iter().map(|value| value.map_or("failed".to_owned(), mib)).collect();
        cells(out, results, &workload.name, &workload.medians(kept), &texts)?;
    }
    Ok(())
}

fn latencies(out: &mut impl Write, results: &Results) -> io::Result<()> {
    for workload in
        results.workloads.iter().filter(|workload| workload.any(|report| report.outcome.allocation.is_some()))
    {
        let step = clock_step(workload);
        writeln!(
            out,
            "\n{}: ns of one operation, less what reading the clock takes; it moves in steps of {step:.0} ns",
            workload.name
        )?;
        header(out, results, "hakmem/best")?;
        for (name, of) in PERCENTILES {
            let values = percentile(workload, of);
            let texts: Vec<_> = values.iter().map(|value| value.map_or("failed".to_owned(), short)).collect();
            cells(out, results, name, &values, &texts)?;
        }
    }
    Ok(())
}

fn instructions(out: &mut impl Write, results: &Results) -> io::Result<()> {
    if results.instructions.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nInstructions of one operation, with the loop around it, by callgrind")?;
    header(out, results, "hakmem/best")?;
    for counted in &results.instructions {
        let texts: Vec<_> = counted
            .instructions
            .iter()
            .map(|count| count.map_or("failed".to_owned(), |count| format!("{count:.1}")))
            .collect();
        cells(out, results, &counted.name, &counted.instructions, &texts)?;
    }
    for counted in &results.instructions {
        writeln!(out, "  {}: {}", counted.name, counted.about)?;
    }
    Ok(())
}

/// In sum.
fn closing(out: &mut impl Write, results: &Results) -> io::Result<()> {
    if results.index(HAKMEM).is_none() {
        return Ok(());
    }
    // The last of the means is over the most.
    let group = results.means().into_iter().next_back().flatten();
    writeln!(out, "\nhakmem against, {}", group.unwrap_or(ALL))?;
    let mean = |figure, to: &str| ratio(geometric_mean(&results.ratios(figure, group, HAKMEM, to)));
    for (name, _) in results.allocators.iter().filter(|(name, _)| name != HAKMEM) {
        writeln!(out, "  {name:<18} time {:>6}   peak RSS {:>6}", mean(TIME, name), mean(RESIDENT, name))?;
    }
    let best = |figure| ratio(geometric_mean(&results.ratios_to_best(figure, group)));
    writeln!(out, "  {:<18} time {:>6}   peak RSS {:>6}", "the best of each", best(TIME), best(RESIDENT))?;
    let noise = results.ratios(TIME, group, AGAIN, HAKMEM);
    if let Some(mean) = geometric_mean(&noise) {
        let farthest = noise.iter().copied().max_by(|one, other| one.ln().abs().total_cmp(&other.ln().abs()));
        writeln!(
            out,
            "A/A: {AGAIN} is the same program as {HAKMEM}; time {mean:.3}, the farthest workload {}",
            ratio(farthest)
        )?;
    }
    let behind: Vec<String> = results
        .workloads
        .iter()
        .filter_map(|workload| Some((&workload.name, results.against_best(&workload.medians(TIME))?)))
        .filter(|(_, ratio)| *ratio > 1.0)
        .map(|(name, ratio)| format!("{name} {ratio:.2}"))
        .collect();
    let count = results.workloads.len();
    writeln!(out, "behind the best peer's time on {} of {count}: {}", behind.len(), behind.join(", "))?;
    debug_assert!(results.allocators.len() <= ALLOCATORS.len());
    Ok(())
}

/// The goals, met and missed.
fn reached(out: &mut impl Write, results: &Results) -> io::Result<()> {
    if results.index(HAKMEM).is_none() {
        return Ok(());
    }
    writeln!(out, "\nGoals")?;
    for Goal { what, target, measured, verdict } in goals(results) {
        let measured = if measured.is_empty() { "not measured" } else { &measured };
        writeln!(out, "  {:<6} {what}: {measured}; goal {target}", verdict.text())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::example;

    #[test]
    fn the_table_marks_the_best_and_names_failures() {
        let mut results = example();
        results.workloads[1].arms[0].failures.push("crashed".to_owned());
        let mut out = Vec::new();
        write(&mut out, &results).unwrap();
        let text = String::from_utf8(out).unwrap();
        let line = text.lines().find(|line| line.starts_with("  live_1e3")).unwrap();
        let cells: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(cells, ["live_1e3", "11.0", "±5", "20.0", "±0", "*5.50", "±0", "0.50"]);
        assert!(text.contains("failed"), "{text}");
        assert!(text.contains("behind the best peer's time on 0 of 2"), "{text}");
    }
}
