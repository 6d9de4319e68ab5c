//! Writes sizes and settings into a `[[class]]` entry.

use toml_edit::{Item, Table, Value, value};

use super::kept;
use super::settings::Settings;
use crate::failure::Outcome;

/// The width of the lines of a list of sizes.
const WIDTH: usize = 96;

/// A chosen class.
#[derive(Debug, Clone)]
pub(crate) struct NewClass {
    pub(crate) size: u32,
    pub(crate) settings: Settings,
    /// Whether a request of the profile needs it.
    pub(crate) seen: bool,
}

/// Writes the sizes and settings of `classes`, which share the settings, into an entry.
pub(super) fn write(table: &mut Table, classes: &[NewClass]) -> Outcome<()> {
    let mut sizes: Value = match classes {
        [only] => i64::from(only.size).into(),
        several => list(several).parse::<Value>()?,
    };
    let key = if classes.len() == 1 { "size" } else { "sizes" };
    // Keep the comments around the sizes, also where the key changes.
    let mut around = None;
    for old in ["size", "sizes"] {
        if let Some((name, item)) = table.remove_entry(old) {
            around = Some(name.leaf_decor().clone());
            if let Some(value) = item.as_value() {
                *sizes.decor_mut() = value.decor().clone();
            }
        }
    }
    table.insert(key, Item::Value(sizes));
    if let (Some(around), Some(mut name)) = (around, table.key_mut(key)) {
        *name.leaf_decor_mut() = around;
    }
    table.sort_values_by(|one, _, other, _| (one != key).cmp(&(other != key)));
    let settings = &classes[0].settings;
    if let Some(layers) = &settings.layers {
        // Tables of layers that are not in the stack are errors, and the batch may not fit the new layers.
        for layer in hakmem_spec::LAYERS.iter().filter(|layer| !layers.contains(&layer.name)) {
            table.remove(layer.name);
        }
        table.remove("batch");
        table["layers"] = value(layers.iter().copied().collect::<toml_edit::Array>());
        table["budget"] = value("none");
    }
    if let Some(capacity) = settings.magazine {
        match table.get_mut("heapv2").and_then(Item::as_table_like_mut) {
            Some(heapv2) => _ = heapv2.insert("capacity", value(i64::from(capacity))),
            None => {
                let heapv2 = toml_edit::InlineTable::from_iter([("capacity", i64::from(capacity))]);
                table.insert("heapv2", value(heapv2));
            }
        }
    }
    if let Some(batch) = settings.batch {
        table["batch"] = value(i64::from(batch));
    }
    if let Some(specialise) = settings.specialise {
        table["specialise"] = value(specialise);
        if !specialise {
            table["budget"] = value("none");
        }
    }
    Ok(())
}

/// `[8, 24, …]`, in lines of [`WIDTH`].
fn list(classes: &[NewClass]) -> String {
    let mut lines = vec![String::new()];
    for class in classes {
        let number = class.size.to_string();
        let line = lines.last().map_or(0, String::len);
        if line + number.len() + 2 > WIDTH {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            *line += &format!("{}{number},", if line.is_empty() { "" } else { " " });
        }
    }
    match &lines[..] {
        [only] => format!("[{}]", only.trim_end_matches(',')),
        several => format!("[\n  {}\n]", several.join("\n  ")),
    }
}

/// A comment that says why an entry is there.
pub(super) fn remark(classes: &[NewClass], indent: &str) -> String {
    let Some(class) = classes.first() else { return String::new() };
    let mut text = match class.seen {
        true => "chosen for the profile".to_owned(),
        false => "not in the profile; for sizes that another input may request".to_owned(),
    };
    for reason in &class.settings.reasons {
        text += "; ";
        text += reason;
    }
    kept::remark(indent, &text)
}
