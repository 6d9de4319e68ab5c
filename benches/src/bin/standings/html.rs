//! The report: one page that needs nothing else.

use std::fmt::Write as _;

use hakmem_benches::Report;

use crate::allocators::ALLOCATORS;
use crate::results::{Figure, Measured, RESIDENT, Results, TIME};
use crate::svg::{Axis, Bar, Curve, bars, colour, curves, escape};
use crate::table::{PERCENTILES, any, percentile, short};

const STYLE: &str = "\
body { font: 14px sans-serif; color: #24292f; margin: 24px; max-width: 1400px }
pre { font-size: 11px; overflow-x: auto; background: #f6f8fa; padding: 12px }
h3 { margin: 20px 0 4px } p { margin: 0 0 8px; color: #57606a }
div.row { display: flex; flex-wrap: wrap; gap: 12px 24px }
text { font: 11px sans-serif; fill: #24292f } text.title { font-size: 12px; font-weight: bold }
text.end { text-anchor: end } text.middle { text-anchor: middle } text.best { font-weight: bold; fill: #116329 }
path.grid { stroke: #d8dee4; stroke-width: 1 } path.whisker { stroke: #24292f; stroke-width: 1.2 }
.curve { fill: none; stroke-width: 1.8 }
";

/// The whole page. `table` is what the terminal shows.
pub(crate) fn page(results: &Results, table: &str) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>hakmem: standings</title>\n\
         <style>\n{STYLE}</style></head><body>\n<h1>hakmem: standings</h1>\n<p>{}</p>\n",
        escape(&results.machine.text())
    );
    let _ = write!(out, "<h2>Figures</h2>\n<pre>{}</pre>\n", escape(table));
    out += "<h2>As the number of live blocks grows</h2>\n";
    out += &scaling(results, "live", "live blocks");
    out += "<h2>As the number of threads grows</h2>\n";
    out += &scaling(results, "threads", "threads");
    out += "<h2>Resident memory over time</h2>\n";
    for workload in
        results.workloads.iter().filter(|workload| any(workload, |report| !report.outcome.timeline.is_empty()))
    {
        out += &timeline(results, workload);
    }
    out += "<h2>Single operations</h2>\n";
    for workload in
        results.workloads.iter().filter(|workload| any(workload, |report| report.outcome.allocation.is_some()))
    {
        let _ = writeln!(out, "<h3>{}</h3><p>{}</p><div class=\"row\">", workload.name, escape(workload.about));
        for (name, of) in PERCENTILES {
            let values = percentile(workload, of).into_iter().map(|value| value.map(|value| (value, (value, value))));
            out += &chart(results, &format!("{name}, ns"), values);
        }
        out += "</div>\n";
    }
    for group in results.groups() {
        let _ = writeln!(out, "<h2>Workloads: {}</h2>", escape(group));
        for workload in results.workloads.iter().filter(|workload| workload.group == group) {
            let _ = writeln!(out, "<h3>{}</h3><p>{}</p><div class=\"row\">", workload.name, escape(workload.about));
            out += &figure(results, workload, TIME, 1.0, "ns an operation");
            out += &figure(results, workload, RESIDENT, f64::from(1 << 20), "peak RSS, MiB");
            out += "</div>\n";
        }
    }
    out + "</body></html>\n"
}

/// Bars for a figure of a workload.
fn figure(results: &Results, workload: &Measured, figure: Figure, unit: f64, title: &str) -> String {
    let summaries = workload.arms.iter().map(|arm| arm.summary(figure));
    let values = summaries
        .map(|summary| summary.map(|summary| (summary.median / unit, (summary.lower / unit, summary.upper / unit))));
    chart(results, title, values)
}

/// A bar for each allocator that has a value.
fn chart(results: &Results, title: &str, values: impl Iterator<Item = Option<(f64, (f64, f64))>>) -> String {
    let mut drawn = Vec::new();
    for ((name, _), value) in results.allocators.iter().zip(values) {
        if let Some((value, whisker)) = value {
            drawn.push(Bar { name, colour: colour_of(name), value, whisker, label: short(value) });
        }
    }
    bars(title, &drawn)
}

/// An allocator's colour is the same whichever others were chosen.
fn colour_of(name: &str) -> &'static str {
    colour(ALLOCATORS.iter().position(|allocator| allocator.name == name).unwrap_or(0))
}

/// Time against the number at the end of the workloads' names.
fn scaling(results: &Results, group: &str, across: &str) -> String {
    let number = |workload: &Measured| workload.name.rsplit('_').next()?.parse::<f64>().ok();
    let points = |index: usize| {
        let workloads = results.workloads.iter().filter(|workload| workload.group == group);
        let point = |workload: &Measured| Some((number(workload)?, workload.arms[index].summary(TIME)?.median));
        workloads.filter_map(point).collect()
    };
    let drawn = every(results, points);
    if drawn.is_empty() {
        return "<p>not measured</p>\n".to_owned();
    }
    let (x, y) = (Axis { name: across, logarithmic: true }, Axis { name: "ns an operation", logarithmic: false });
    curves(group, x, y, &drawn)
}

fn timeline(results: &Results, workload: &Measured) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let points = |report: &Report| {
        report.outcome.timeline.iter().map(|sample| (sample.seconds, mib(sample.resident))).collect::<Vec<_>>()
    };
    let mut drawn = every(results, |index| workload.arms[index].typical().map(points).unwrap_or_default());
    // What the workload itself has allocated is the same for all, up to the time it takes.
    if let Some(report) = workload.arms.iter().find_map(|arm| arm.typical()) {
        let live = report.outcome.timeline.iter().map(|sample| (sample.seconds, mib(sample.live))).collect();
        drawn.push(Curve { name: "live", colour: "#000000", points: live });
    }
    let (x, y) = (Axis { name: "seconds", logarithmic: false }, Axis { name: "MiB", logarithmic: false });
    curves(&format!("{}: {}", workload.name, workload.about), x, y, &drawn)
}

/// A curve for each allocator that has points.
fn every(results: &Results, points: impl Fn(usize) -> Vec<(f64, f64)>) -> Vec<Curve<'_>> {
    let names = results.allocators.iter().enumerate();
    let curves = names.map(|(index, (name, _))| Curve { name, colour: colour_of(name), points: points(index) });
    curves.filter(|curve| !curve.points.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use crate::results::tests::example;

    #[test]
    fn the_page_has_every_drawing_and_nothing_unescaped() {
        let page = super::page(&example(), "a < b");
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
        assert!(page.contains("a &lt; b") && page.contains("a &lt;test&gt;") && !page.contains("<test>"));
        // Curves of `live`, two timelines, and two charts for each of two workloads.
        assert_eq!(page.matches("<svg ").count(), 7);
        assert!(!page.contains("NaN") && !page.contains("inf "));
    }
}
