//! Drawings: bars and lines, as SVG elements that need nothing else.

use std::fmt::Write as _;

/// A colour for each allocator, in their order; hakmem's stands out.
const COLOURS: [&str; 9] =
    ["#57606a", "#bf8700", "#e3b341", "#8250df", "#cf222e", "#d4689e", "#0969da", "#1a7f37", "#7fbf8f"];

/// The colour of the allocator at `index` of all.
pub(crate) fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

/// A bar: its name, colour, value, and the whisker's ends.
#[derive(Clone, Debug)]
pub(crate) struct Bar<'a> {
    pub(crate) name: &'a str,
    pub(crate) colour: &'a str,
    pub(crate) value: f64,
    pub(crate) whisker: (f64, f64),
    pub(crate) label: String,
}

/// Sizes, in the SVG's pixels.
const WIDTH: f64 = 440.0;
const LEFT: f64 = 96.0;
const RIGHT: f64 = 380.0;
const ROW: f64 = 16.0;
const BAR: f64 = 10.0;

/// Horizontal bars from 0 on.
pub(crate) fn bars(title: &str, bars: &[Bar]) -> String {
    let top = 22.0;
    let height = top + ROW * bars.len() as f64 + 6.0;
    let longest = bars.iter().map(|bar| bar.value.max(bar.whisker.1)).fold(f64::MIN_POSITIVE, f64::max);
    let least = bars.iter().map(|bar| bar.value).fold(f64::INFINITY, f64::min);
    let at = |value: f64| LEFT + (RIGHT - LEFT) * value / longest;
    let mut out = open(WIDTH, height, title);
    for (index, bar) in bars.iter().enumerate() {
        let edge = top + ROW * index as f64;
        let (middle, text) = (edge + BAR / 2.0, edge + BAR - 1.0);
        let class = if bar.value <= least { "best" } else { "" };
        let (before, width) = (LEFT - 6.0, at(bar.value) - LEFT);
        let (lower, upper) = (at(bar.whisker.0), at(bar.whisker.1));
        let behind = upper.max(at(bar.value)) + 5.0;
        let (name, label) = (escape(bar.name), escape(&bar.label));
        let _ = writeln!(
            out,
            "<text class=\"end {class}\" x=\"{before}\" y=\"{text}\">{name}</text>\
             <rect fill=\"{}\" x=\"{LEFT}\" y=\"{edge}\" width=\"{width:.1}\" height=\"{BAR}\"/>\
             <path class=\"whisker\" d=\"M{lower:.1} {middle}H{upper:.1}\"/>\
             <text class=\"{class}\" x=\"{behind:.1}\" y=\"{text}\">{label}</text>",
            bar.colour
        );
    }
    out + "</svg>\n"
}

/// A curve: its name, colour and points.
#[derive(Clone, Debug)]
pub(crate) struct Curve<'a> {
    pub(crate) name: &'a str,
    pub(crate) colour: &'a str,
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
    let (width, height, left, right, top, bottom) = (760.0, 340.0, 60.0, 620.0, 26.0, 292.0);
    let all = || curves.iter().flat_map(|curve| &curve.points).copied();
    let across = Range::of(all().map(|(x, _)| x), x.logarithmic);
    let up = Range::of(all().map(|(_, y)| y), y.logarithmic);
    let at = |(x, y): (f64, f64)| (left + (right - left) * across.share(x), bottom - (bottom - top) * up.share(y));
    let mut out = open(width, height, title);
    for mark in across.marks() {
        let (at, below) = (at((mark, up.low)).0, bottom + 15.0);
        let mark = label(mark);
        let _ = writeln!(
            out,
            "<path class=\"grid\" d=\"M{at:.1} {top}V{bottom}\"/>\
             <text class=\"middle\" x=\"{at:.1}\" y=\"{below}\">{mark}</text>"
        );
    }
    for mark in up.marks() {
        let at = at((across.low, mark)).1;
        let (before, text, mark) = (left - 6.0, at + 4.0, label(mark));
        let _ = writeln!(
            out,
            "<path class=\"grid\" d=\"M{left} {at:.1}H{right}\"/>\
             <text class=\"end\" x=\"{before}\" y=\"{text:.1}\">{mark}</text>"
        );
    }
    let (middle, below) = ((left + right) / 2.0, bottom + 34.0);
    let (x_name, y_name) = (escape(x.name), escape(y.name));
    let _ = writeln!(out, "<text class=\"middle\" x=\"{middle}\" y=\"{below}\">{x_name}</text>");
    let _ = writeln!(out, "<text class=\"end\" x=\"{right}\" y=\"14\">{y_name}</text>");
    for (index, curve) in curves.iter().enumerate() {
        let points = curve.points.iter().map(|&point| at(point));
        let path: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let (name, line, mark) = (escape(curve.name), top + 8.0 + ROW * index as f64, right + 12.0);
        let (mark_end, text) = (mark + 18.0, mark + 24.0);
        let _ = writeln!(
            out,
            "<polyline class=\"curve\" stroke=\"{0}\" points=\"{1}\"/>\
             <path class=\"curve\" stroke=\"{0}\" d=\"M{mark} {line}H{mark_end}\"/>\
             <text x=\"{text}\" y=\"{2}\">{name}</text>",
            curve.colour,
            path.join(" "),
            line + 4.0
        );
    }
    out + "</svg>\n"
}

fn open(width: f64, height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n\
         <text class=\"title\" x=\"0\" y=\"13\">{}</text>\n",
        escape(title)
    )
}

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
        let point = Curve { name: "one", colour: "red", points: vec![(1.0, 1.0)] };
        for svg in [curves("none", axis, axis, &[]), curves("one", axis, axis, &[point]), bars("none", &[])] {
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
