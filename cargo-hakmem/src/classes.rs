//! `cargo hakmem classes`: the classes of a spec with all derived values.

use std::path::PathBuf;

use hakmem_spec::Spec;
use serde_json::{Value, json};

use crate::failure::{Outcome, say};
use crate::project::{LoadedSpec, Project, Selection};

/// The command line of `cargo hakmem classes`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A spec to print instead of the project's
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

/// The table as JSON: sizes in bytes, waste as a fraction of a block or span.
fn json(spec: &Spec) -> Value {
    let classes = spec.classes_with_smallest_request().map(|(class, smallest)| {
        let span = class.slab.slabs * spec.geometry.slab;
        json!({
            "size": class.size,
            "usable": class.usable(),
            "align": class.align,
            "slabs": class.slab.slabs,
            "blocks": class.slab.blocks,
            "tail": f64::from(class.slab.slack) / f64::from(span),
            "worst_waste": f64::from(class.size - smallest) / f64::from(class.size),
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
