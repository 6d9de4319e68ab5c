//! The comparison as a drawing: one SVG file that needs nothing else.
//!
//! A panel for each workload, two side by side; in it a bar for each stack as long as its median, and a whisker over
//! the middle half of its rounds.

use std::fmt::Write as _;

use hakmem_harness::numbers::short;
use hakmem_harness::svg::{Bar, Layout, bars, escape};

use crate::compare::Comparison;

/// Sizes, in the SVG's pixels.
const MARGIN: f64 = 24.0;
const HEAD: f64 = 64.0;
const PANEL_WIDTH: f64 = 600.0;
const PANEL_HEAD: f64 = 44.0;
const PANEL_FOOT: f64 = 24.0;
const BARS: Layout = Layout { left: 190.0, right: 530.0, axis: Some("ns/op") };
const COLUMNS: usize = 2;

const STYLE: &str = "\
text { font: 11px sans-serif; fill: #24292f }
.title { font-size: 18px; font-weight: bold }
.workload { font-size: 14px; font-weight: bold }
.soft { fill: #57606a }
.end { text-anchor: end }
.middle { text-anchor: middle }
.best { font-weight: bold; fill: #116329 }
.grid { stroke: #d8dee4; stroke-width: 1 }
.bar { fill: #8fb3dc }
.bar.winner { fill: #4fa35d }
.whisker { stroke: #24292f; stroke-width: 1.2 }
";

/// The whole drawing. `note` says how it was measured.
pub(crate) fn svg(comparisons: &[Comparison], note: &str) -> String {
    let columns = COLUMNS.min(comparisons.len()).max(1);
    let width = 2.0 * MARGIN + PANEL_WIDTH * columns as f64;
    let mut panels = String::new();
    let mut top = HEAD;
    for side_by_side in comparisons.chunks(columns) {
        for (column, comparison) in side_by_side.iter().enumerate() {
            panel(&mut panels, comparison, (MARGIN + PANEL_WIDTH * column as f64, top));
        }
        let rows = side_by_side.iter().map(|comparison| comparison.rows.len()).max().unwrap_or(0);
        top += PANEL_HEAD + BARS.height(rows) + PANEL_FOOT;
    }
    let (x, title, about) = (MARGIN, 30, 50);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{top}\" viewBox=\"0 0 {width} {top}\">\n\
         <style>\n{STYLE}</style>\n\
         <rect width=\"{width}\" height=\"{top}\" fill=\"#ffffff\"/>\n\
         <text class=\"title\" x=\"{x}\" y=\"{title}\">hakmem: stacks of layers compared</text>\n\
         <text class=\"soft\" x=\"{x}\" y=\"{about}\">{}</text>\n\
         {panels}</svg>\n",
        escape(note)
    )
}

/// One workload, at a place of the drawing.
fn panel(out: &mut String, comparison: &Comparison, (left, top): (f64, f64)) {
    let (name, about) = (escape(comparison.workload.name), escape(comparison.workload.about));
    let rows = comparison.rows.iter().enumerate().map(|(index, row)| Bar {
        name: row.stack,
        class: if index == comparison.best { "bar winner" } else { "bar" }.to_owned(),
        value: row.time.median,
        whisker: (row.time.lower, row.time.upper),
        label: short(row.time.median),
    });
    let bars = bars(&rows.collect::<Vec<_>>(), BARS);
    let _ = writeln!(
        out,
        "<g transform=\"translate({left} {top})\">\n\
         <text class=\"workload\" x=\"0\" y=\"14\">{name}</text>\n\
         <text class=\"soft\" x=\"0\" y=\"31\">{about}</text>\n\
         <g transform=\"translate(0 {PANEL_HEAD})\">\n{bars}</g>\n</g>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::tests::example;

    #[test]
    fn there_is_a_panel_for_each_workload_and_a_bar_for_each_stack() {
        let comparison = || example(&[("one & two", &[2.0, 3.0, 4.0]), ("three", &[1.0])]);
        let svg = svg(&[comparison(), comparison(), comparison()], "7 rounds < 8");
        assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("7 rounds &lt; 8") && svg.contains(">one &amp; two</text>"));
        assert_eq!(svg.matches("class=\"workload\"").count(), 3);
        assert_eq!(svg.matches("<rect class=\"bar").count(), 6);
        assert_eq!(svg.matches("<rect class=\"bar winner\"").count(), 3);
        assert_eq!(svg.matches("<text class=\"end best\"").count(), 3);
        assert_eq!((svg.matches("<g ").count(), svg.matches("</g>").count()), (6, 6));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
