//! SVG charts: axes, lines, bars. Colours are CSS classes of the page, which has a light and a dark scheme.

use std::fmt::Write as _;

/// The size of the drawing, and the margins around the plot for labels.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 40.0;

/// A range of values along an axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
    /// Steps between labels are 1, 2 or 5 times a power of this.
    base: f64,
}

impl Scale {
    /// From 0 to at least `high`.
    pub(super) fn linear(high: f64) -> Self {
        Self { low: 0.0, high: high.max(f64::MIN_POSITIVE), logarithmic: false, base: 10.0 }
    }

    /// The same for bytes: labels are round in binary.
    pub(super) fn bytes(high: f64) -> Self {
        Self { base: 2.0, ..Self::linear(high) }
    }

    /// Between two positive values, with labels at powers of two.
    pub(super) fn logarithmic(low: f64, high: f64) -> Self {
        Self { low: low.log2(), high: high.log2().max(low.log2() + 1.0), logarithmic: true, base: 2.0 }
    }

    /// The position of a value, from 0 to 1.
    fn part(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(f64::MIN_POSITIVE).log2() } else { value };
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// The values to label.
    fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let step = ((self.high - self.low) / 9.0).ceil().max(1.0) as usize;
            return (self.low.ceil() as i32..=self.high as i32)
                .step_by(step)
                .map(|power| f64::from(power).exp2())
                .collect();
        }
        let rough = (self.high - self.low) / 5.0;
        let power = self.base.powf(rough.log(self.base).floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
        let step = steps.into_iter().find(|step| *step >= rough).unwrap_or(rough);
        (0..).map(|count| f64::from(count) * step).take_while(|value| *value <= self.high * 1.0001).collect()
    }
}

/// A chart under construction.
#[derive(Debug)]
pub(super) struct Chart {
    x: Scale,
    y: Scale,
    body: String,
}

impl Chart {
    /// Axes with their labels; `label_x` and `label_y` format the values.
    pub(super) fn new(
        x: Scale,
        y: Scale,
        titles: [&str; 2],
        label_x: impl Fn(f64) -> String,
        label_y: impl Fn(f64) -> String,
    ) -> Self {
        let mut chart = Self { x, y, body: String::new() };
        for value in y.ticks() {
            let at = chart.y(value);
            let _ = write!(
                chart.body,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0,
                label_y(value)
            );
        }
        let base = HEIGHT - BOTTOM;
        for value in x.ticks() {
            let _ = write!(
                chart.body,
                "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{}\">{}</text>",
                chart.x(value),
                base + 16.0,
                // A centred last label would extend beyond the edge.
                if x.part(value) > 0.97 { "end" } else { "middle" },
                label_x(value)
            );
        }
        let _ = write!(
            chart.body,
            "<line class=\"axis\" x1=\"{LEFT}\" y1=\"{base}\" x2=\"{:.1}\" y2=\"{base}\"/>\
             <text class=\"label\" x=\"{LEFT}\" y=\"12\">{}</text>\
             <text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            titles[1],
            WIDTH - RIGHT,
            HEIGHT - 6.0,
            titles[0]
        );
        chart
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.part(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.part(value) * (HEIGHT - TOP - BOTTOM)
    }

    /// A bar from the base to `value`, between two values of the horizontal axis, with a tooltip.
    pub(super) fn bar(&mut self, from: f64, to: f64, value: f64, kind: &str, tooltip: &str) {
        let (left, right, top) = (self.x(from) + 0.75, self.x(to) - 0.75, self.y(value));
        let _ = write!(
            self.body,
            "<rect class=\"{kind}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{tooltip}</title></rect>",
            (right - left).max(1.0),
            (HEIGHT - BOTTOM - top).max(0.0)
        );
    }

    /// Short vertical strokes in a row at the top of the plot; row 0 is the topmost.
    pub(super) fn strokes(&mut self, places: impl Iterator<Item = f64>, kind: &str, row: u8) {
        let from = TOP + 15.0 * f64::from(row);
        let to = from + 11.0;
        for place in places {
            let at = self.x(place);
            let _ = write!(
                self.body,
                "<line class=\"{kind}\" x1=\"{at:.1}\" y1=\"{from}\" x2=\"{at:.1}\" y2=\"{to}\"><title>{place}</title></line>"
            );
        }
    }

    /// A line through points.
    pub(super) fn line(&mut self, points: impl Iterator<Item = (f64, f64)>, kind: &str) {
        let points: Vec<String> = points.map(|(x, y)| format!("{:.1},{:.1}", self.x(x), self.y(y))).collect();
        let _ = write!(self.body, "<polyline class=\"{kind}\" points=\"{}\"/>", points.join(" "));
    }

    /// A point with a label.
    pub(super) fn point(&mut self, x: f64, y: f64, kind: &str, text: &str) {
        let (at, height) = (self.x(x), self.y(y));
        let right = at < WIDTH * 0.7;
        let (anchor, offset) = if right { ("start", 9.0) } else { ("end", -9.0) };
        let _ = write!(
            self.body,
            "<circle class=\"{kind}\" cx=\"{at:.1}\" cy=\"{height:.1}\" r=\"5\"/>\
             <text class=\"note\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>",
            at + offset,
            height - 9.0
        );
    }

    /// The drawing; `name` is its accessible label.
    pub(super) fn finish(self, name: &str) -> String {
        let body = self.body;
        format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{name}\">{body}</svg>\n")
    }
}
