//! The comparison as a drawing: one SVG file that needs nothing else.
//!
//! A panel for each workload, two side by side; in it a bar for each stack as long as its median, and a whisker over
//! the middle half of its rounds.

use std::fmt::Write as _;

use crate::measure::{Comparison, Row};
use crate::table::short;

/// Sizes, in the SVG's pixels.
const MARGIN: f64 = 24.0;
const HEAD: f64 = 64.0;
const PANEL_WIDTH: f64 = 600.0;
const PANEL_HEAD: f64 = 44.0;
const PANEL_FOOT: f64 = 44.0;
const ROW: f64 = 18.0;
const BAR: f64 = 11.0;
/// Where bars begin and end; names stand before, medians behind.
const LEFT: f64 = 190.0;
const RIGHT: f64 = 530.0;
const COLUMNS: usize = 2;

/// About as many marks on an axis.
const MARKS: f64 = 5.0;

const STYLE: &str = "\
text { font: 11px sans-serif; fill: #24292f }
.title { font-size: 18px; font-weight: bold }
.workload { font-size: 14px; font-weight: bold }
.quiet { fill: #57606a }
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
            let left = MARGIN + PANEL_WIDTH * column as f64;
            add(&mut panels, format_args!("<g transform=\"translate({left} {top})\">\n"));
            panel(&mut panels, comparison);
            panels += "</g>\n";
        }
        let rows = side_by_side.iter().map(|comparison| comparison.rows.len()).max().unwrap_or(0);
        top += PANEL_HEAD + ROW * rows as f64 + PANEL_FOOT;
    }
    let (x, title, about) = (MARGIN, 30, 50);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{top}\" viewBox=\"0 0 {width} {top}\">\n\
         <style>\n{STYLE}</style>\n\
         <rect width=\"{width}\" height=\"{top}\" fill=\"#ffffff\"/>\n\
         <text class=\"title\" x=\"{x}\" y=\"{title}\">hakmem: stacks of front layers compared</text>\n\
         <text class=\"quiet\" x=\"{x}\" y=\"{about}\">{}</text>\n\
         {panels}</svg>\n",
        escape(note)
    )
}

/// One workload, from (0, 0) on.
fn panel(out: &mut String, comparison: &Comparison) {
    let bottom = PANEL_HEAD + ROW * comparison.rows.len() as f64;
    let (name, about) = (escape(comparison.workload.name), escape(comparison.workload.about));
    add(out, format_args!("<text class=\"workload\" x=\"0\" y=\"14\">{name}</text>\n"));
    add(out, format_args!("<text class=\"quiet\" x=\"0\" y=\"31\">{about}</text>\n"));
    let longest = comparison.rows.iter().map(|row| row.time.median.max(row.time.upper)).fold(0.0, f64::max);
    let end = if longest > 0.0 { longest } else { 1.0 };
    let step = step(end / MARKS);
    let mut mark = 0.0;
    while mark <= end {
        let at = position(mark, end);
        add(out, format_args!("<path class=\"grid\" d=\"M{at:.1} {PANEL_HEAD}V{bottom:.1}\"/>\n"));
        let below = bottom + 14.0;
        let label = label(mark, step);
        add(out, format_args!("<text class=\"quiet middle\" x=\"{at:.1}\" y=\"{below:.1}\">{label}</text>\n"));
        mark += step;
    }
    let below = bottom + 14.0;
    add(out, format_args!("<text class=\"quiet end\" x=\"{:.1}\" y=\"{below:.1}\">ns/op</text>\n", LEFT - 14.0));
    for (index, row) in comparison.rows.iter().enumerate() {
        bar(out, row, PANEL_HEAD + ROW * index as f64, end, index == comparison.best);
    }
}

/// One stack, in the row that begins at `top`.
fn bar(out: &mut String, row: &Row, top: f64, end: f64, best: bool) {
    let (middle, text) = (top + ROW / 2.0, top + ROW / 2.0 + 4.0);
    let [lower, median, upper] = [row.time.lower, row.time.median, row.time.upper].map(|value| position(value, end));
    let (star, class, winner) = if best { ("* ", " best", " winner") } else { ("", "", "") };
    let (name, before, edge) = (escape(row.stack), LEFT - 8.0, middle - BAR / 2.0);
    add(out, format_args!("<text class=\"end{class}\" x=\"{before}\" y=\"{text:.1}\">{star}{name}</text>\n"));
    add(
        out,
        format_args!(
            "<rect class=\"bar{winner}\" x=\"{LEFT}\" y=\"{edge:.1}\" width=\"{:.1}\" height=\"{BAR}\"/>\n",
            median - LEFT
        ),
    );
    let (high, low) = (middle - 3.0, middle + 3.0);
    add(
        out,
        format_args!(
            "<path class=\"whisker\" fill=\"none\" d=\"M{lower:.1} {middle:.1}H{upper:.1}\
             M{lower:.1} {high:.1}V{low:.1}M{upper:.1} {high:.1}V{low:.1}\"/>\n"
        ),
    );
    let (behind, value) = (upper.max(median) + 6.0, short(row.time.median));
    add(out, format_args!("<text class=\"{}\" x=\"{behind:.1}\" y=\"{text:.1}\">{value}</text>\n", class.trim()));
}

/// Where `value` lies between the ends of the bars.
fn position(value: f64, end: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * value / end
}

/// A round number, at least `least`: 1, 2 or 5 times a power of ten.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= least);
    factor.unwrap_or(10.0) * power
}

/// A mark's number, with as many digits as a step needs.
fn label(mark: f64, step: f64) -> String {
    let digits = (-step.log10().floor()).max(0.0) as usize;
    format!("{mark:.digits$}")
}

/// `text` as it may stand in an element or an attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            // XML has no way to write most control characters.
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Writing to a `String` does not fail.
fn add(out: &mut String, text: std::fmt::Arguments) {
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Counts;
    use crate::statistics;
    use crate::workloads::WORKLOADS;

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("a<b> & \"c\" 'd'\u{1}–"), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39; –");
    }

    #[test]
    fn marks_are_round_numbers() {
        assert_eq!([0.9, 1.0, 1.1, 3.0, 7.0, 0.03].map(step), [1.0, 1.0, 2.0, 5.0, 10.0, 0.05]);
        assert_eq!([label(10.0, 5.0), label(0.5, 0.5), label(0.15, 0.05)], ["10", "0.5", "0.15"]);
    }

    #[test]
    fn there_is_a_panel_for_each_workload_and_a_bar_for_each_stack() {
        let row = |stack, rounds: &[f64]| Row {
            stack,
            rounds: rounds.to_vec(),
            time: statistics::summary(rounds),
            latency: [0.0; 3],
            counts: Counts::default(),
            resident: None,
        };
        let rows = || vec![row("one & two", &[2.0, 3.0, 4.0]), row("three", &[1.0])];
        let comparisons: Vec<Comparison> =
            WORKLOADS.iter().take(3).map(|workload| Comparison { workload, rows: rows(), best: 1 }).collect();
        let svg = svg(&comparisons, "7 rounds < 8");
        assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("7 rounds &lt; 8") && svg.contains(">one &amp; two</text>"));
        assert_eq!(svg.matches("class=\"workload\"").count(), 3);
        assert_eq!(svg.matches("<rect class=\"bar").count(), 6);
        assert_eq!(svg.matches(">* three</text>").count(), 3);
        assert_eq!((svg.matches("<g ").count(), svg.matches("</g>").count()), (3, 3));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
