//! Pieces of drawings: axes, and bars with whiskers. The style sheet of what they become part of colours them, by
//! classes.

use std::fmt::Write as _;

/// The height of a row: a line of text, or a bar.
pub const ROW: f64 = 17.0;
/// The height of a bar.
pub const BAR: f64 = 11.0;
/// The height of an axis' numbers, below the bars.
const AXIS: f64 = 18.0;

/// A bar.
#[derive(Clone, Debug)]
pub struct Bar<'a> {
    /// Before the bar.
    pub name: &'a str,
    /// The class of the bar's rectangle.
    pub class: String,
    /// Its length.
    pub value: f64,
    /// The ends of the whisker.
    pub whisker: (f64, f64),
    /// Behind the bar.
    pub label: String,
}

/// Where the bars of a drawing are.
#[derive(Clone, Copy, Debug)]
pub struct Layout<'a> {
    /// Where bars begin; names are before.
    pub left: f64,
    /// Where the longest ends; its label is behind.
    pub right: f64,
    /// The unit of an axis below the bars, if there is to be one.
    pub axis: Option<&'a str>,
}

impl Layout<'_> {
    /// The height of so many bars.
    pub fn height(&self, bars: usize) -> f64 {
        ROW * bars as f64 + 4.0 + if self.axis.is_some() { AXIS } else { 0.0 }
    }
}

/// Horizontal bars from zero, the first at the top; the name and label of the smallest have the class `best`.
pub fn bars(bars: &[Bar], layout: Layout) -> String {
    let Layout { left, right, axis } = layout;
    let longest = bars.iter().map(|bar| bar.value.max(bar.whisker.1)).fold(f64::MIN_POSITIVE, f64::max);
    let least = bars.iter().map(|bar| bar.value).fold(f64::INFINITY, f64::min);
    let at = |value: f64| left + (right - left) * value / longest;
    let mut out = String::new();
    if let Some(unit) = axis {
        let bottom = ROW * bars.len() as f64 + 2.0;
        let text = bottom + AXIS - 4.0;
        for mark in Range::of([longest].into_iter(), false).marks() {
            let (at, mark) = (at(mark), label(mark));
            let _ = writeln!(
                out,
                "<path class=\"grid\" d=\"M{at:.1} 0V{bottom}\"/>\
                 <text class=\"middle soft\" x=\"{at:.1}\" y=\"{text}\">{mark}</text>"
            );
        }
        let _ = writeln!(out, "<text class=\"end soft\" x=\"{}\" y=\"{text}\">{}</text>", left - 14.0, escape(unit));
    }
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
    out
}

/// The values along an axis.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
    logarithmic: bool,
}

impl Range {
    /// All of `values`, and zero if the scale is linear.
    pub fn of(values: impl Iterator<Item = f64>, logarithmic: bool) -> Range {
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
    pub fn share(&self, value: f64) -> f64 {
        if self.logarithmic {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    /// Round numbers within.
    pub fn marks(&self) -> Vec<f64> {
        if self.logarithmic {
            // Where there are few powers of ten, powers of two.
            let base = if self.high / self.low > 200.0 { 10.0_f64 } else { 2.0 };
            let first = self.low.log(base).ceil() as i32;
            return (first..).map(|power| base.powi(power)).take_while(|&mark| mark <= self.high * 1.0001).collect();
        }
        let step = step((self.high - self.low) / 6.0);
        let first = (self.low / step).ceil() as i64;
        (first..).map(|index| index as f64 * step).take_while(|&mark| mark <= self.high).collect()
    }
}

/// A round number, at least `least`: 1, 2 or 5 times a power of ten.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= least);
    factor.unwrap_or(10.0) * power
}

/// A mark's number.
pub fn label(mark: f64) -> String {
    match mark.abs() {
        1e6.. => format!("{}M", mark / 1e6),
        1e3.. => format!("{}k", mark / 1e3),
        // Rounded, for where the steps are tenths.
        _ => format!("{}", (mark * 1e6).round() / 1e6),
    }
}

/// `text` for an element or an attribute.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\n' => escaped.push('\n'),
            // XML has no way to write most control characters.
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("a<b> & \"c\" 'd'\u{1}–\n"), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39; –\n");
    }

    #[test]
    fn marks_are_round_numbers_within() {
        let linear = Range::of([0.0, 2.05].into_iter(), false);
        assert_eq!(linear.marks(), [0.0, 0.5, 1.0, 1.5, 2.0]);
        let wide = Range::of([1e3, 1e7].into_iter(), true);
        assert_eq!(wide.marks().len(), 5);
        assert_eq!(Range::of([1.0, 16.0].into_iter(), true).marks(), [1.0, 2.0, 4.0, 8.0, 16.0]);
        assert_eq!([0.9, 1.0, 1.1, 3.0, 7.0, 0.03].map(step), [1.0, 1.0, 2.0, 5.0, 10.0, 0.05]);
        assert_eq!([10.0, 0.5, 3.0 * 0.05, 2e3, 5e6].map(label), ["10", "0.5", "0.15", "2k", "5M"]);
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let bar = |name, value| Bar { name, class: "bar".to_owned(), value, whisker: (1.0, 4.0), label: String::new() };
        let drawn = bars(&[bar("a & b", 2.0), bar("c", 4.0)], Layout { left: 100.0, right: 200.0, axis: Some("ns") });
        assert!(drawn.contains(">a &amp; b</text>") && drawn.contains("class=\"end best\""), "{drawn}");
        assert!(drawn.contains("width=\"50.0\"") && drawn.contains("width=\"100.0\""), "{drawn}");
        assert!(drawn.contains(">ns</text>") && drawn.matches("class=\"grid\"").count() == 5, "{drawn}");
        let none = bars(&[], Layout { left: 100.0, right: 200.0, axis: Some("ns") });
        assert!(!none.contains("NaN") && !none.contains("inf"), "{none}");
    }
}
