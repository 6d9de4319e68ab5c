//! Drawings: bars and lines, as SVG elements. Their colours are classes of the page's style sheet, which has two sets.

use std::fmt::Write as _;

/// A bar: its name, the class that colours it, its value, and the whisker's ends.
#[derive(Clone, Debug)]
pub(crate) struct Bar<'a> {
    pub(crate) name: &'a str,
    pub(crate) class: String,
    pub(crate) value: f64,
    pub(crate) whisker: (f64, f64),
    pub(crate) label: String,
}

/// Height of a line of text with what belongs to it.
const ROW: f64 = 17.0;
/// Height of a bar in it.
const BAR: f64 = 11.0;

/// Horizontal bars from 0 on; the least value is set in bold.
pub(crate) fn bars(title: &str, bars: &[Bar]) -> String {
    let (width, left, right) = (400.0, 106.0, 342.0);
    let longest = bars.iter().map(|bar| bar.value.max(bar.whisker.1)).fold(f64::MIN_POSITIVE, f64::max);
    let least = bars.iter().map(|bar| bar.value).fold(f64::INFINITY, f64::min);
    let at = |value: f64| left + (right - left) * value / longest;
    let mut out = open(title, (width, ROW * bars.len() as f64 + 4.0));
    for (index, bar) in bars.iter().enumerate() {
        let edge = 3.0 + ROW * index as f64;
        let (middle, text) = (edge + BAR / 2.0, edge + BAR - 1.0);
        let best = if bar.value <= least { "best" } else { "" };
        let (before, length) = (left - 6.0, at(bar.value) - left);
        let (lower, upper) = (at(bar.whisker.0), at(bar.whisker.1));
        let behind = upper.max(at(bar.value)) + 5.0;
        let (name, label) = (escape(bar.name), escape(&bar.label));
        let _ = writeln!(
            out,
            "<text class=\"end {best}\" x=\"{before}\" y=\"{text}\">{name}</text>\
             <rect class=\"{}\" x=\"{left}\" y=\"{edge}\" width=\"{length:.1}\" height=\"{BAR}\"/>\
             <path class=\"whisker\" d=\"M{lower:.1} {middle}H{upper:.1}\"/>\
             <text class=\"{best}\" x=\"{behind:.1}\" y=\"{text}\">{label}</text>",
            bar.class
        );
    }
    out + CLOSE
}

/// A ratio of something, or the heading of those that follow.
#[derive(Clone, Debug)]
pub(crate) enum Row<'a> {
    Heading(&'a str),
    Ratio(&'a str, f64),
}

/// Bars that begin at 1 and go to the left where a ratio is below, on a scale of factors.
pub(crate) fn ratios(title: &str, rows: &[Row]) -> String {
    let (width, left, right, top) = (460.0, 146.0, 430.0, 20.0);
    let values = rows.iter().filter_map(|row| if let Row::Ratio(_, value) = row { Some(*value) } else { None });
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
            Row::Heading(name) => writeln!(out, "<text class=\"group\" x=\"0\" y=\"{text}\">{}</text>", escape(name)),
            Row::Ratio(name, value) => {
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

/// From where to where an axis goes.
#[derive(Debug)]
struct Range {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Range {
    fn of(values: impl Iterator<Item = f64>, logarithmic: bool) -> Range {
        let values: Vec<f64> = values.filter(|value| !logarithmic || *value > 0.0).collect();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if logarithmic { (least, greatest) } else { (least.min(0.0), greatest) };
        if low.is_finite() && high > low {
            Range { low, high, logarithmic }
        } else {
            // One value, or none.
            let high = if high.is_finite() { high.max(1.0) * 2.0 } else { 2.0 };
            Range { low: if logarithmic { 1.0 } else { 0.0 }, high, logarithmic }
        }
    }

    /// How far up `value` is, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        if self.logarithmic {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    /// Round numbers within.
    fn marks(&self) -> Vec<f64> {
        if self.logarithmic {
            // Where there are few powers of ten, powers of two.
            let base = if self.high / self.low > 200.0 { 10.0_f64 } else { 2.0 };
            let first = self.low.log(base).ceil() as i32;
            return (first..).map(|power| base.powi(power)).take_while(|&mark| mark <= self.high * 1.0001).collect();
        }
        let least = (self.high - self.low) / 6.0;
        let power = 10_f64.powf(least.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|&step| step >= least);
        let step = step.unwrap_or(least);
        let first = (self.low / step).ceil() as i64;
        (first..).map(|index| index as f64 * step).take_while(|&mark| mark <= self.high).collect()
    }
}

fn label(mark: f64) -> String {
    match mark.abs() {
        1e6.. => format!("{}M", mark / 1e6),
        1e3.. => format!("{}k", mark / 1e3),
        // Rounding, where the steps are tenths.
        _ => format!("{}", (mark * 1e6).round() / 1e6),
    }
}

/// `text` as it may stand in an element or an attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_numbers_within() {
        let linear = Range::of([0.0, 2.05].into_iter(), false);
        assert_eq!(linear.marks(), [0.0, 0.5, 1.0, 1.5, 2.0]);
        let wide = Range::of([1e3, 1e7].into_iter(), true);
        assert_eq!(wide.marks().len(), 5);
        assert_eq!(Range::of([1.0, 16.0].into_iter(), true).marks(), [1.0, 2.0, 4.0, 8.0, 16.0]);
    }

    #[test]
    fn nothing_to_draw_is_no_reason_to_divide_by_zero() {
        let axis = Axis { name: "a & b", logarithmic: true };
        let point = Curve { name: "one", class: String::new(), points: vec![(1.0, 1.0)] };
        for svg in [
            curves("none", axis, axis, &[]),
            curves("one", axis, axis, &[point]),
            bars("none", &[]),
            ratios("none", &[]),
            ratios("equal", &[Row::Heading("a"), Row::Ratio("one", 1.0)]),
        ] {
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
