//! The classes of a spec as a table to print.

use std::fmt;

use crate::model::{Class, Spec};
use crate::units::format_bytes;

const HEADINGS: [&str; 8] = ["size", "align", "slabs", "blocks", "tail %", "waste %", "batch", "layers"];

/// A table with a line for each class: its size and alignment, the slabs of its span, the blocks in it, the percentage
/// of the span that is slack, the percentage of a block that is wasted by the smallest request it serves (one byte more
/// than the class below), the blocks of a refill, and the layers with their limits in blocks.
pub fn table(spec: &Spec) -> impl fmt::Display {
    Table { spec }
}

struct Table<'a> {
    spec: &'a Spec,
}

impl Table<'_> {
    /// The line of a class; `smallest` is the smallest request that it serves.
    fn row(&self, class: &Class, smallest: u32) -> [String; 8] {
        let span = class.slab.slabs * self.spec.geometry.slab;
        let layers = class.stack.iter().map(ToString::to_string);
        [
            class.size.to_string(),
            class.align.to_string(),
            class.slab.slabs.to_string(),
            class.slab.blocks.to_string(),
            percent(class.slab.slack, span),
            percent(class.size - smallest, class.size),
            class.batch.to_string(),
            layers.collect::<Vec<_>>().join(", "),
        ]
    }
}

fn percent(part: u32, whole: u32) -> String {
    format!("{:.1}", 100.0 * f64::from(part) / f64::from(whole))
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        rows.extend(self.spec.classes_with_smallest_request().map(|(class, smallest)| self.row(class, smallest)));

        let geometry = self.spec.geometry;
        let (superslab, slab) = (format_bytes(geometry.superslab.into()), format_bytes(geometry.slab.into()));
        writeln!(f, "{} classes; SuperSlabs of {superslab} in slabs of {slab}", self.spec.classes.len())?;
        let widths: [usize; 7] =
            std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
        for row in &rows {
            for (cell, width) in row.iter().zip(widths) {
                write!(f, "{cell:>width$}  ")?;
            }
            // The last column is text: left-aligned, and without trailing blanks.
            writeln!(f, "{}", row[7])?;
        }
        Ok(())
    }
}
