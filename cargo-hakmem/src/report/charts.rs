//! The charts of a report.

use super::svg::{Chart, Scale};
use crate::asm::ClassPaths;
use crate::fit::tuned::Tuned;
use crate::profile::Profile;
use crate::record::rounded;

/// Bars per doubling in the histogram.
const BARS: f64 = 4.0;

fn bytes(value: f64) -> String {
    let value = value.round() as u64;
    let exact = hakmem_spec::format_bytes(value);
    // Round numbers are exact: 64 KiB.
    if exact.len() <= "1023 KiB".len() { exact } else { rounded(value) }
}

/// Requested sizes: their percentage of the allocations and of the live bytes, with the classes of both specs.
pub(super) fn histogram(profile: &Profile, before: &[u32], tuned: &Tuned) -> String {
    let bar_of = |size: u64| ((size.max(1) as f64).log2() * BARS).ceil() as usize;
    let bars = profile.requests.keys().map(|(size, _)| bar_of(*size)).max().unwrap_or(0) + 1;
    let (mut allocations, mut live) = (vec![0.0; bars], vec![0.0; bars]);
    for ((size, _), request) in &profile.requests {
        allocations[bar_of(*size)] += request.arrivals() as f64;
        live[bar_of(*size)] += (size * request.at_peak) as f64;
    }
    let percent = |of: &mut Vec<f64>| {
        let sum: f64 = of.iter().sum();
        of.iter_mut().for_each(|part| *part *= 100.0 / sum.max(1.0));
    };
    percent(&mut allocations);
    percent(&mut live);
    let most = allocations.iter().chain(&live).copied().fold(0.0, f64::max);
    let edge = |bar: usize| (bar as f64 / BARS).exp2();
    let mut chart = Chart::new(
        Scale::logarithmic(1.0, edge(bars)),
        // Leaves room for the rows of classes.
        Scale::linear(most * 1.25),
        ["bytes requested", "percent"],
        bytes,
        |value| format!("{value:.0}"),
    );
    for bar in 0..bars {
        let (from, to) = (edge(bar.saturating_sub(1)), edge(bar));
        let middle = (from * to).sqrt();
        let tooltip = format!(
            "up to {}: {:.2} % of allocations, {:.2} % of live bytes",
            bytes(to.floor()),
            allocations[bar],
            live[bar]
        );
        if bar > 0 {
            chart.bar(from, middle, allocations[bar], "one", &tooltip);
            chart.bar(middle, to, live[bar], "two", &tooltip);
        }
    }
    chart.strokes(before.iter().map(|&size| f64::from(size)), "stroke-before", 0);
    chart.strokes(tuned.spec.classes.iter().map(|class| f64::from(class.size)), "stroke-after", 1);
    chart.finish("Histogram of sizes with the classes")
}

/// Waste against the number of classes, with and without the fixed costs, and the chosen number.
pub(super) fn knee(tuned: &Tuned) -> String {
    let choices = &tuned.choices;
    // Leave out the first few, which waste so much that the rest would be a flat line.
    let chosen = choices.iter().find(|choice| choice.sizes.len() == tuned.chosen);
    let least = chosen.map_or(1.0, |choice| choice.cost);
    let shown: Vec<_> = choices.iter().filter(|choice| choice.cost < least * 4.0).collect();
    let most = shown.iter().map(|choice| choice.cost).fold(0.0, f64::max);
    let last = choices.last().map_or(1, |choice| choice.sizes.len());
    let mut chart = Chart::new(
        Scale::linear(last as f64),
        Scale::bytes(most * 1.1),
        ["classes", "bytes"],
        |value| format!("{value:.0}"),
        bytes,
    );
    chart.line(shown.iter().map(|choice| (choice.sizes.len() as f64, choice.cost)), "line-one");
    chart.line(shown.iter().map(|choice| (choice.sizes.len() as f64, choice.waste)), "line-two");
    if let Some(choice) = chosen {
        let text = format!("{} classes: {}", choice.sizes.len(), bytes(choice.cost));
        chart.point(choice.sizes.len() as f64, choice.cost, "dot", &text);
    }
    chart.finish("Waste against the number of classes")
}

/// Live and resident bytes over time.
pub(super) fn timeline(profile: &Profile) -> String {
    let end = profile.samples.last().map_or(1, |sample| sample.microseconds) as f64;
    let (unit, name) = if end < 2e6 { (1e3, "milliseconds") } else { (1e6, "seconds") };
    let last = end / unit;
    let most = profile.samples.iter().map(|sample| sample.live.max(sample.resident)).max().unwrap_or(1);
    let mut chart = Chart::new(
        Scale::linear(last),
        Scale::bytes(most as f64 * 1.08),
        [name, "bytes"],
        |value| if last < 3.0 { format!("{value:.1}") } else { format!("{value:.0}") },
        bytes,
    );
    let at = |microseconds: u64| microseconds as f64 / unit;
    chart.line(profile.samples.iter().map(|sample| (at(sample.microseconds), sample.resident as f64)), "line-two");
    chart.line(profile.samples.iter().map(|sample| (at(sample.microseconds), sample.live as f64)), "line-one");
    chart.finish("Live and resident bytes over time")
}

/// Bytes of machine code on the two hit paths of each class.
pub(super) fn code(paths: &[ClassPaths]) -> String {
    let bytes_of = |class: &ClassPaths, which: usize| class.paths[which].as_ref().map_or(0, |path| path.bytes) as f64;
    let sum = |class: &ClassPaths| bytes_of(class, 0) + bytes_of(class, 1);
    let most = paths.iter().map(sum).fold(1.0, f64::max);
    let mut chart = Chart::new(
        Scale::linear(paths.len() as f64),
        Scale::linear(most * 1.1),
        ["class", "bytes of code, allocate and free"],
        |number| paths.get(number as usize).map_or_else(String::new, |class| bytes(class.size.into())),
        |value| format!("{value:.0}"),
    );
    for (number, class) in paths.iter().enumerate() {
        let (from, to) = (number as f64, number as f64 + 1.0);
        let tooltip = format!("{}: {} and {} bytes", class.size, bytes_of(class, 0), bytes_of(class, 1));
        // The lower part of the bar is the allocation.
        chart.bar(from, to, sum(class), "two", &tooltip);
        chart.bar(from, to, bytes_of(class, 0), "one", &tooltip);
    }
    chart.finish("Bytes of code by class")
}
