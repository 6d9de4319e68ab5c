//! The charts of the report: bars, ratios and curves, as HTML figures. The page's style sheet colours them, by classes.

use std::fmt::Write as _;

use hakmem_harness::svg::{self, BAR, Bar, Layout, ROW, Range, escape, label};

/// Horizontal bars from zero.
pub(crate) fn bars(title: &str, bars: &[Bar]) -> String {
    let layout = Layout { left: 106.0, right: 342.0, axis: None };
    open(title, (400.0, layout.height(bars.len()))) + &svg::bars(bars, layout) + CLOSE
}

/// A ratio of something, or the heading of those that follow.
#[derive(Clone, Debug)]
pub(crate) enum RatioRow<'a> {
    Heading(&'a str),
    Ratio(&'a str, f64),
}

/// Bars that begin at 1 and go to the left where a ratio is below, on a scale of factors.
pub(crate) fn ratios(title: &str, rows: &[RatioRow]) -> String {
    // The longest name has 27 characters.
    let (width, left, right, top) = (490.0, 176.0, 460.0, 20.0);
    let values = rows.iter().filter_map(|row| if let RatioRow::Ratio(_, value) = row { Some(*value) } else { None });
    // Always with a little on either side of 1.
    let across = Range::of(values.chain([0.5, 2.0]), true);
    let at = |value: f64| left + (right - left) * across.share(value);
    let bottom = top + ROW * rows.len() as f64;
    let mut out = open(title, (width, bottom + 4.0));
    for mark in [0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0, 16.0] {
        if mark < across.low || mark > across.high {
            continue;
        }
        let (class, at) = (if mark == 1.0 { "one" } else { "grid" }, at(mark));
        let _ = writeln!(
            out,
            "<path class=\"{class}\" d=\"M{at:.1} {top}V{bottom}\"/>\
             <text class=\"middle soft\" x=\"{at:.1}\" y=\"13\">{mark}</text>"
        );
    }
    for (index, row) in rows.iter().enumerate() {
        let edge = top + 3.0 + ROW * index as f64;
        let text = edge + BAR - 1.0;
        let _ = match row {
            RatioRow::Heading(name) => {
                writeln!(out, "<text class=\"group\" x=\"0\" y=\"{text}\">{}</text>", escape(name))
            }
            RatioRow::Ratio(name, value) => {
                let (one, end) = (at(1.0), at(*value));
                let class = if *value <= 1.0 { "better" } else { "worse" };
                let (from, length) = (one.min(end), (one - end).abs());
                // The number stands on the free side of 1.
                let (side, beside) = if *value <= 1.0 { ("", one + 6.0) } else { ("end", one - 6.0) };
                writeln!(
                    out,
                    "<text class=\"end\" x=\"{}\" y=\"{text}\">{}</text>\
                     <rect class=\"{class}\" x=\"{from:.1}\" y=\"{edge}\" width=\"{length:.1}\" height=\"{BAR}\"/>\
                     <text class=\"{side}\" x=\"{beside:.1}\" y=\"{text}\">{value:.2}</text>",
                    left - 8.0,
                    escape(name)
                )
            }
        };
    }
    out + CLOSE
}

/// A curve: its name, the class that colours it, and its points.
#[derive(Clone, Debug)]
pub(crate) struct Curve<'a> {
    pub(crate) name: &'a str,
    pub(crate) class: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A direction of a drawing of curves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis<'a> {
    pub(crate) name: &'a str,
    /// Whether each step is a factor.
    pub(crate) logarithmic: bool,
}

/// Curves over a plane; both axes show all there is, and linear ones begin at 0 or below.
pub(crate) fn curves(title: &str, x: Axis, y: Axis, curves: &[Curve]) -> String {
    let (left, right, top, bottom) = (44.0, 488.0, 22.0, 262.0);
    let all = || curves.iter().flat_map(|curve| &curve.points).copied();
    let across = Range::of(all().map(|(x, _)| x), x.logarithmic);
    let up = Range::of(all().map(|(_, y)| y), y.logarithmic);
    let at = |(x, y): (f64, f64)| (left + (right - left) * across.share(x), bottom - (bottom - top) * up.share(y));
    let mut out = open(title, (500.0, 300.0));
    for mark in across.marks() {
        let (at, below) = (at((mark, up.low)).0, bottom + 16.0);
        let mark = label(mark);
        let _ = writeln!(
            out,
            "<path class=\"grid\" d=\"M{at:.1} {top}V{bottom}\"/>\
             <text class=\"middle soft\" x=\"{at:.1}\" y=\"{below}\">{mark}</text>"
        );
    }
    for mark in up.marks() {
        let at = at((across.low, mark)).1;
        let (before, text, mark) = (left - 6.0, at + 4.0, label(mark));
        let _ = writeln!(
            out,
            "<path class=\"grid\" d=\"M{left} {at:.1}H{right}\"/>\
             <text class=\"end soft\" x=\"{before}\" y=\"{text:.1}\">{mark}</text>"
        );
    }
    let (middle, below) = ((left + right) / 2.0, bottom + 33.0);
    let (x_name, y_name) = (escape(x.name), escape(y.name));
    let _ = writeln!(out, "<text class=\"middle soft\" x=\"{middle}\" y=\"{below}\">{x_name}</text>");
    let _ = writeln!(out, "<text class=\"soft\" x=\"0\" y=\"13\">{y_name}</text>");
    let mut legend = String::new();
    for curve in curves {
        let points = curve.points.iter().map(|&point| at(point));
        let path: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let (name, class) = (escape(curve.name), &curve.class);
        // Points that are few are marked; one alone would not be seen.
        if path.len() < 10 {
            let marks: String = path.iter().map(|point| format!("M{point}h0")).collect();
            let _ = writeln!(out, "<path class=\"{class} mark\" d=\"{marks}\"/>");
        }
        let path = path.join(" ");
        let _ = writeln!(out, "<polyline class=\"{class}\" points=\"{path}\"><title>{name}</title></polyline>");
        let _ = write!(legend, "<span class=\"{class}\">{name}</span>");
    }
    format!("{out}</svg><div class=\"legend\">{legend}</div></figure>\n")
}

/// A drawing with a caption begins. It is as wide as there is place.
fn open(title: &str, (width, height): (f64, f64)) -> String {
    format!(
        "<figure><figcaption>{}</figcaption>\
         <svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\">\n",
        escape(title)
    )
}

/// And ends.
const CLOSE: &str = "</svg></figure>\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_draw_is_no_reason_to_divide_by_zero() {
        let axis = Axis { name: "a & b", logarithmic: true };
        let point = Curve { name: "one", class: String::new(), points: vec![(1.0, 1.0)] };
        for svg in [
            curves("none", axis, axis, &[]),
            curves("one", axis, axis, &[point]),
            bars("none", &[]),
            ratios("none", &[]),
            ratios("equal", &[RatioRow::Heading("a"), RatioRow::Ratio("one", 1.0)]),
        ] {
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
