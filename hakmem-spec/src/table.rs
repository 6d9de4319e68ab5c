//! The classes of a spec as a text table.

use std::fmt;

use crate::model::{Class, Spec};
use crate::units::format_bytes;

const HEADINGS: [&str; 8] = ["size", "align", "slabs", "blocks", "tail %", "waste %", "batch", "layers"];

/// A table with a line for each class: its size and alignment, the slabs of its span, the blocks in it, the part of
/// the span lost at its end, the part of a block lost to the request that fits it worst (one byte more than the class
/// below), the blocks of a refill, and the layers with the blocks they hold.
pub fn table(spec: &Spec) -> impl fmt::Display {
    Table { spec }
}

struct Table<'a> {
    spec: &'a Spec,
}

impl Table<'_> {
    /// The line of a class above one that serves requests up to `below`.
    fn row(&self, class: &Class, below: u32) -> [String; 8] {
        let span = class.slab.units * self.spec.geometry.slab;
        let layers = class.stack.iter().map(|layer| match layer.limit {
            0 => layer.kind.name.to_owned(),
            limit => format!("{} {limit}", layer.kind.name),
        });
        [
            class.size.to_string(),
            class.align.to_string(),
            class.slab.units.to_string(),
            class.slab.blocks.to_string(),
            percent(class.slab.tail, span),
            percent(class.size - below - 1, class.size),
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
        let classes = &self.spec.classes;
        let below = std::iter::once(0).chain(classes.iter().map(Class::usable));
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        rows.extend(classes.iter().zip(below).map(|(class, below)| self.row(class, below)));

        let geometry = self.spec.geometry;
        let (superslab, slab) = (format_bytes(geometry.superslab.into()), format_bytes(geometry.slab.into()));
        writeln!(f, "{} classes; SuperSlabs of {superslab} in slabs of {slab}", classes.len())?;
        let widths: [usize; 7] =
            std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
        for row in &rows {
            for (cell, width) in row.iter().zip(widths) {
                write!(f, "{cell:>width$}  ")?;
            }
            // The last column is words: to the left, and without trailing blanks.
            writeln!(f, "{}", row[7])?;
        }
        Ok(())
    }
}
