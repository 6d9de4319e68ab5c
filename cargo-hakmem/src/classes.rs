//! `cargo hakmem classes`: the resolved table of a spec.

use std::path::PathBuf;

use hakmem_spec::{Class, Spec};
use serde_json::{Value, json};

use crate::failure::{Outcome, say};
use crate::project::{LoadedSpec, Project, Selection};

/// Its command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A spec, instead of the project's
    spec: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
}

/// Prints the table.
pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let loaded = match &arguments.spec {
        Some(path) => LoadedSpec::read(path)?,
        None => Project::find(&arguments.selection)?.spec()?,
    };
    if arguments.json {
        say!("{:#}", json(&loaded.spec));
    } else {
        say!("{}", hakmem_spec::table(&loaded.spec).to_string().trim_end());
    }
    Ok(())
}

/// The same as JSON: sizes in bytes, waste in parts of a block or span.
fn json(spec: &Spec) -> Value {
    let below = std::iter::once(0).chain(spec.classes.iter().map(Class::usable));
    let classes = spec.classes.iter().zip(below).map(|(class, below)| {
        let span = class.slab.units * spec.geometry.slab;
        json!({
            "size": class.size,
            "usable": class.usable(),
            "align": class.align,
            "slabs": class.slab.units,
            "blocks": class.slab.blocks,
            "tail": f64::from(class.slab.tail) / f64::from(span),
            "worst_waste": f64::from(class.size - below - 1) / f64::from(class.size),
            "batch": class.batch,
            "layers": class.stack.iter().map(|layer| json!({ "name": layer.kind.name, "blocks": layer.limit }))
                .collect::<Vec<_>>(),
            "specialise": class.specialise,
            "pinned": class.pinned,
            "budget": class.budget.map(|budget| json!({ "alloc": budget.alloc, "free": budget.free })),
        })
    });
    let classes: Vec<Value> = classes.collect();
    json!({ "superslab": spec.geometry.superslab, "slab": spec.geometry.slab, "classes": classes })
}
