//! The report: one page that needs nothing else.

use std::fmt::Write as _;

use hakmem_benches::{Report, Sample};
use hakmem_harness::numbers::{ratio, short};
use hakmem_harness::statistics::geometric_mean;
use hakmem_harness::svg::{Bar, escape};

use crate::allocators::{ALLOCATORS, HAKMEM, is_peer};
use crate::charts::{Axis, Curve, RatioRow, bars, curves, ratios};
use crate::goals::{Goal, goals};
use crate::percentiles::{PERCENTILES, percentile};
use crate::results::{ALL, Figure, Measured, RESIDENT, Results, TIME};

const STYLE: &str = include_str!("report.css");

/// How to read the drawings.
const READING: &str = "\
Each workload ran on each allocator in a process of its own; the allocators took turns, round by round, each time in \
another order. Bars are medians of the rounds, whiskers the middle half of them; less is better everywhere. \
hakmem-again is the same program as hakmem: what differs between the two is noise. Every process has proved at its \
start which allocator it runs on, and every block was checked when it was freed.";

/// The whole page. `table` is what the terminal shows.
pub(crate) fn page(results: &Results, table: &str) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>hakmem: standings</title>\n\
         <style>\n{STYLE}</style></head><body>\n<h1>hakmem: standings</h1>\n<p>{}</p>\n",
        escape(&results.machine.text())
    );
    let sections = [
        ("goals", "Goals", reached(results)),
        ("means", "In the mean", means(results)),
        ("best", "Against the best peer of each workload", against_best(results)),
        ("live", "As live blocks and threads become more", growing(results)),
        ("rss", "Resident memory over time", timelines(results)),
        ("latency", "Single operations", latencies(results)),
        ("instructions", "Instructions of one operation", instructions(results)),
        ("workloads", "Every workload", workloads(results)),
        ("machine", "How it was measured", machine(results)),
        ("figures", "All figures", format!("<pre>{}</pre>\n", escape(table))),
    ];
    let shown = || sections.iter().filter(|(_, _, content)| !content.is_empty());
    out += "<nav>";
    for (id, heading, _) in shown() {
        let _ = write!(out, "<a href=\"#{id}\">{heading}</a> ");
    }
    out += "</nav>\n";
    for (id, heading, content) in shown() {
        let _ = write!(out, "<h2 id=\"{id}\">{heading}</h2>\n{content}");
    }
    out + "</body></html>\n"
}

fn machine(results: &Results) -> String {
    let it = &results.machine;
    let gib = it.memory_bytes as f64 / f64::from(1 << 30);
    let packages: Vec<String> = it.packages.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let facts = [
        ("date", it.date.clone()),
        ("machine", format!("{} cores of {}, {gib:.0} GiB, Linux {}", it.cores, it.processor, it.kernel)),
        ("huge pages", it.transparent_huge_pages.clone()),
        ("load", format!("{} before, {} after", it.load_before, it.load_after)),
        ("compilers", format!("{}; {}", it.rustc, it.c_compiler)),
        ("hakmem", format!("commit {}", it.commit)),
        ("packages", packages.join(", ")),
        ("rounds", format!("{}{}", results.rounds, if results.quick { ", of a twentieth of the work" } else { "" })),
    ];
    let mut out = format!("<p>{READING}</p>\n<dl>");
    for (name, fact) in facts {
        let _ = write!(out, "<dt>{name}</dt><dd>{}</dd>", escape(&fact));
    }
    for run in results.earlier_runs() {
        let workloads = results.workloads.iter().filter(|workload| workload.earlier.as_deref() == Some(run));
        let names: Vec<&str> = workloads.map(|workload| workload.name.as_str()).collect();
        let _ = write!(out, "<dt>of an earlier run</dt><dd>{}: {}</dd>", escape(run), names.join(", "));
    }
    out += "</dl>\n<div class=\"wide\"><table><tr><th>allocator</th><th>its proof</th></tr>";
    for (name, proof) in &results.allocators {
        let _ = write!(out, "<tr><td>{name}</td><td>{}</td></tr>", escape(proof));
    }
    out + "</table></div>\n"
}

fn reached(results: &Results) -> String {
    if results.index(HAKMEM).is_none() {
        return String::new();
    }
    let mut out = "<table class=\"goals\"><tr><th></th><th>goal</th><th>target</th>\
                   <th>measured</th></tr>\n"
        .to_owned();
    for Goal { what, target, measured, verdict } in goals(results) {
        let verdict = verdict.text();
        let measured = if measured.is_empty() { "not measured" } else { &measured };
        let (what, target, measured) = (escape(what), escape(&target), escape(measured));
        let _ = writeln!(
            out,
            "<tr><td class=\"{verdict}\">{verdict}</td><td>{what}</td><td>{target}</td><td>{measured}</td></tr>"
        );
    }
    out + "</table>\n"
}

/// hakmem against each peer, by group.
fn means(results: &Results) -> String {
    if results.index(HAKMEM).is_none() {
        return String::new();
    }
    let mut out = String::new();
    for (title, figure) in [("time", TIME), ("peak RSS", RESIDENT)] {
        let peers = || results.allocators.iter().map(|(name, _)| name).filter(|name| is_peer(name));
        let _ = write!(
            out,
            "<h3>hakmem’s {title} / the peer’s, geometric means</h3>\
             <div class=\"wide\"><table class=\"means\"><tr><th></th>"
        );
        for peer in peers() {
            let _ = write!(out, "<th>{peer}</th>");
        }
        out += "<th>the best of each</th></tr>\n";
        for group in results.means() {
            let _ = write!(out, "<tr><td>{}</td>", escape(group.unwrap_or(ALL)));
            let each = peers().map(|peer| results.ratios(figure, group, HAKMEM, peer));
            for ratios in each.chain([results.ratios_to_best(figure, group)]) {
                let mean = geometric_mean(&ratios);
                let class = if mean.is_some_and(|mean| mean <= 1.0) { "better" } else { "worse" };
                let _ = write!(out, "<td class=\"{class}\">{}</td>", ratio(mean));
            }
            out += "</tr>\n";
        }
        out += "</table></div>\n";
    }
    out
}

/// A row for each workload.
fn against_best(results: &Results) -> String {
    let mut out = "<div class=\"row large\">".to_owned();
    for (title, figure) in
        [("time, hakmem / the best peer", TIME), ("peak RSS, hakmem / the least of a peer", RESIDENT)]
    {
        let mut rows = Vec::new();
        for group in results.groups() {
            rows.push(RatioRow::Heading(group));
            for workload in results.workloads.iter().filter(|workload| workload.group == group) {
                let ratio = results.against_best(&workload.medians(figure));
                rows.extend(ratio.map(|ratio| RatioRow::Ratio(&workload.name, ratio)));
            }
        }
        out += &ratios(title, &rows);
    }
    out + "</div>\n"
}

fn growing(results: &Results) -> String {
    let drawn = [scaling(results, "live", "live blocks of 32 B"), scaling(results, "threads", "threads")].concat();
    if drawn.is_empty() { drawn } else { format!("<div class=\"row large\">{drawn}</div>\n") }
}

/// Time against the number at the end of the workloads' names.
fn scaling(results: &Results, group: &str, across: &str) -> String {
    let number = |workload: &Measured| workload.name.rsplit('_').next()?.parse::<f64>().ok();
    let points = |index: usize| {
        let workloads = results.workloads.iter().filter(|workload| workload.group == group);
        let point = |workload: &Measured| Some((number(workload)?, workload.arms[index].summary(TIME)?.median));
        workloads.filter_map(point).collect()
    };
    let mut drawn = every(results, points);
    if drawn.is_empty() {
        return String::new();
    }
    let workloads = results.workloads.iter().filter(|workload| workload.group == group);
    let floor: Vec<_> = workloads.filter_map(|workload| Some((number(workload)?, workload.floor()?))).collect();
    if !floor.is_empty() {
        drawn.push(Curve { name: "no allocator", class: "live".to_owned(), points: floor });
    }
    let (x, y) = (Axis { name: across, logarithmic: true }, Axis { name: "ns an operation", logarithmic: false });
    curves(&format!("time against {across}"), x, y, &drawn)
}

fn timelines(results: &Results) -> String {
    let watched = |workload: &&Measured| workload.any(|report| !report.outcome.timeline.is_empty());
    let drawn: String = results.workloads.iter().filter(watched).map(|workload| timeline(results, workload)).collect();
    if drawn.is_empty() { drawn } else { format!("<div class=\"row large\">{drawn}</div>\n") }
}

fn timeline(results: &Results, workload: &Measured) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    // Samples of what comes after the last free stand at times; others stand at the same points of the work, which are
    // shown side by side although one allocator comes there sooner than another.
    let timed = workload.any(|report| report.outcome.timeline.first().is_some_and(|sample| sample.seconds < 0.0));
    let points = |report: &Report, of: fn(&Sample) -> u64| {
        let samples = report.outcome.timeline.iter().enumerate();
        samples.map(|(step, it)| (if timed { it.seconds } else { step as f64 }, mib(of(it)))).collect::<Vec<_>>()
    };
    let typical = |index: usize| workload.arms[index].typical();
    let mut drawn = every(results, |index| {
        typical(index).map(|report| points(report, |sample| sample.resident)).unwrap_or_default()
    });
    // What the workload itself has allocated is the same for all, up to the time it takes.
    if let Some(report) = typical(results.index(HAKMEM).unwrap_or(0)) {
        let points = points(report, |sample| sample.live);
        drawn.push(Curve { name: "live", class: "live".to_owned(), points });
    }
    let x = Axis { name: if timed { "seconds" } else { "allocated, every other freed, in turn" }, logarithmic: false };
    let y = Axis { name: "MiB", logarithmic: false };
    curves(&format!("{}: {}", workload.name, workload.about), x, y, &drawn)
}

fn latencies(results: &Results) -> String {
    let mut out = String::new();
    let timed = |workload: &&Measured| workload.any(|report| report.outcome.allocation.is_some());
    for workload in results.workloads.iter().filter(timed) {
        let _ = writeln!(out, "<h3>{}</h3><p>{}</p><div class=\"row\">", workload.name, escape(&workload.about));
        for (name, of) in PERCENTILES {
            let values = percentile(workload, of).into_iter().map(|value| value.map(|value| (value, (value, value))));
            out += &chart(results, &format!("{name}, ns"), values);
        }
        out += "</div>\n";
    }
    out
}

fn instructions(results: &Results) -> String {
    let mut out = String::new();
    for counted in &results.instructions {
        let values = counted.instructions.iter().map(|count| count.map(|count| (count, (count, count))));
        out += &chart(results, &format!("{}: {}", counted.name, counted.about), values);
    }
    if out.is_empty() {
        return out;
    }
    format!("<p>Counted by callgrind, with the loop around it.</p><div class=\"row\">{out}</div>\n")
}

fn workloads(results: &Results) -> String {
    let mut out = String::new();
    for group in results.groups() {
        let _ = writeln!(out, "<h3>{}</h3>", escape(group));
        for workload in results.workloads.iter().filter(|workload| workload.group == group) {
            let title = format!("{}: {}", workload.name, workload.about);
            let _ = write!(out, "<p>{}</p><div class=\"row\">", escape(&title));
            let time = if workload.group == "programs" { ("s", 1e9) } else { ("ns an operation", 1.0) };
            out += &figure(results, workload, TIME, time.1, time.0);
            out += &figure(results, workload, RESIDENT, f64::from(1 << 20), "peak RSS, MiB");
            out += "</div>\n";
        }
    }
    out
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
            drawn.push(Bar { name, class: class_of(name), value, whisker, label: short(value) });
        }
    }
    bars(title, &drawn)
}

/// An allocator's class, and so its colour, is the same whichever others were chosen.
fn class_of(name: &str) -> String {
    format!("a{}", ALLOCATORS.iter().position(|allocator| allocator.name == name).unwrap_or(0))
}

/// A curve for each allocator that has points, hakmem's above the others.
fn every(results: &Results, points: impl Fn(usize) -> Vec<(f64, f64)>) -> Vec<Curve<'_>> {
    let names = results.allocators.iter().enumerate();
    let curves = names.map(|(index, (name, _))| Curve { name, class: class_of(name), points: points(index) });
    let mut curves: Vec<_> = curves.filter(|curve| !curve.points.is_empty()).collect();
    curves.sort_by_key(|curve| curve.name == HAKMEM);
    curves
}

#[cfg(test)]
mod tests {
    use crate::results::tests::example;

    #[test]
    fn the_page_has_every_drawing_and_nothing_unescaped() {
        let page = super::page(&example(), "a < b");
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
        assert!(page.contains("a &lt; b") && page.contains("a &lt;test&gt;") && !page.contains("<test>"));
        // Two charts of ratios, curves of `live`, two timelines, and two charts for each of two workloads.
        assert_eq!(page.matches("<svg ").count(), 9);
        assert!(!page.contains("NaN") && !page.contains("inf "));
    }
}
