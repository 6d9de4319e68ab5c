//! The spec's text with other classes in it.
//!
//! Entries that are pinned stay as they are. Of the others each keeps its comments and its keys; its sizes are replaced by
//! those new classes that fall into its range, and where these need different settings, entries like it follow. Comments
//! of an entry without a class go to the next one. What this module writes begins with `# tune:`, and is replaced the next
//! time.

use std::ops::Range;

use hakmem_spec::{Class, Spec};
use toml_edit::{ArrayOfTables, Document, Item, RawString, Table, Value, value};

use super::settings::Settings;
use crate::failure::{Outcome, fail};

/// What this module's own comments begin with.
const MARK: &str = "# tune:";
/// Columns of a list of sizes.
const WIDTH: usize = 96;

/// The `[[class]]` entries of a spec.
#[derive(Debug)]
pub(crate) struct Entries {
    document: toml_edit::DocumentMut,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    table: Table,
    /// Its classes, by their number in the spec.
    classes: Range<usize>,
    pinned: bool,
}

/// A class to be written.
#[derive(Debug, Clone)]
pub(crate) struct NewClass {
    pub(crate) size: u32,
    pub(crate) settings: Settings,
    /// Whether the profile asks for it.
    pub(crate) seen: bool,
}

impl Entries {
    /// The entries of a spec's text.
    pub(crate) fn new(text: &str, spec: &Spec) -> Outcome<Self> {
        let document = Document::parse(text.to_owned())?;
        // The places in the text are known as long as it cannot be changed.
        let place = |table: &Table| table.get("sizes").or(table.get("size")).and_then(Item::span);
        let Some(tables) = document.get("class").and_then(Item::as_array_of_tables) else {
            return fail("the classes must be written as [[class]] entries");
        };
        let places: Vec<Option<Range<usize>>> = tables.iter().map(place).collect();
        let mut document = document.into_mut();
        let Some(Item::ArrayOfTables(tables)) = document.remove("class") else { unreachable!("it was there above") };
        let mut first = 0;
        let mut entries = Vec::new();
        for (table, place) in tables.into_iter().zip(places) {
            let inside = |class: &&Class| place.as_ref().is_some_and(|place| place.contains(&class.span.start));
            let count = spec.classes[first..].iter().take_while(inside).count();
            let classes = first..first + count;
            first = classes.end;
            // What depends on a size is not carried over to another one.
            let pinned = spec.classes[classes.clone()].iter().any(|class| class.pinned)
                || ["align", "slab_units"].iter().any(|key| table.contains_key(key));
            entries.push(Entry { table, classes, pinned });
        }
        Ok(Self { document, entries })
    }

    /// The numbers of the classes of pinned entries, entry by entry.
    pub(crate) fn pinned(&self) -> impl Iterator<Item = Range<usize>> {
        self.entries.iter().filter(|entry| entry.pinned).map(|entry| entry.classes.clone())
    }

    /// The entry in whose range a new class falls: the first that reaches as far, or the last.
    fn entry_of(&self, size: u32, spec: &Spec) -> Option<usize> {
        let open = || self.entries.iter().enumerate().filter(|(_, entry)| !entry.pinned && !entry.classes.is_empty());
        let reaches = |entry: &Entry| spec.classes[entry.classes.end - 1].size >= size;
        open().find(|(_, entry)| reaches(entry)).or(open().next_back()).map(|(number, _)| number)
    }

    /// The class whose settings a new one inherits.
    pub(crate) fn like<'s>(&self, size: u32, spec: &'s Spec) -> Option<&'s Class> {
        let classes = &spec.classes[self.entries[self.entry_of(size, spec)?].classes.clone()];
        classes.iter().find(|class| class.size >= size).or(classes.last())
    }

    /// The text with these classes, ascending, in the place of those that are not pinned.
    pub(crate) fn with(mut self, spec: &Spec, classes: &[NewClass]) -> Outcome<String> {
        let mut tables = ArrayOfTables::new();
        let mut taken = vec![false; self.entries.len()];
        let mut orphaned = String::new();
        for run in self.runs(spec, classes) {
            let number = run.entry;
            let mut table = number.map_or_else(Table::new, |number| self.entries[number].table.clone());
            let first = number.is_none_or(|number| !std::mem::replace(&mut taken[number], true));
            // Entries that are passed over for good leave their comments here.
            for (passed, taken) in self.entries[..number.unwrap_or(0)].iter_mut().zip(&mut taken) {
                if !std::mem::replace(taken, true) {
                    orphaned += &comments(&passed.table);
                }
            }
            let own = if first { comments(&table) } else { "\n".to_owned() };
            let mut prefix = std::mem::take(&mut orphaned) + &own;
            if !run.classes.is_empty() {
                write(&mut table, &run.classes)?;
                prefix += &remark(&run.classes);
            }
            table.decor_mut().set_prefix(prefix);
            tables.push(table);
        }
        for (passed, _) in self.entries.iter().zip(&taken).filter(|(_, taken)| !**taken) {
            orphaned += &comments(&passed.table);
        }
        self.document.insert("class", Item::ArrayOfTables(tables));
        let trailing = raw(Some(self.document.trailing()));
        self.document.set_trailing(orphaned + &trailing);
        Ok(self.document.to_string())
    }

    /// New and pinned classes in their order, as they will share entries.
    fn runs(&self, spec: &Spec, classes: &[NewClass]) -> Vec<Run> {
        let pinned_of = |size: u32| {
            self.entries.iter().position(|entry| {
                entry.pinned && spec.classes[entry.classes.clone()].iter().any(|class| class.size == size)
            })
        };
        let mut runs: Vec<Run> = Vec::new();
        for class in classes {
            let pinned = pinned_of(class.size);
            let entry = pinned.or_else(|| self.entry_of(class.size, spec));
            let together = |run: &&mut Run| {
                let same = |other: &NewClass| other.settings == class.settings && other.seen == class.seen;
                run.entry == entry && (pinned.is_some() || run.classes.last().is_some_and(same))
            };
            let run = runs.last_mut().filter(together);
            match (run, pinned) {
                (Some(_), Some(_)) => {}
                (Some(run), None) => run.classes.push(class.clone()),
                (None, Some(_)) => runs.push(Run { entry, classes: Vec::new() }),
                (None, None) => runs.push(Run { entry, classes: vec![class.clone()] }),
            }
        }
        runs
    }
}

/// What becomes one entry: new classes with the same settings, or none and the entry stays.
struct Run {
    entry: Option<usize>,
    classes: Vec<NewClass>,
}

fn raw(text: Option<&RawString>) -> String {
    text.and_then(RawString::as_str).unwrap_or_default().to_owned()
}

/// What stands in front of an entry, without the remarks of an earlier time.
fn comments(table: &Table) -> String {
    let prefix = raw(table.decor().prefix());
    prefix.split_inclusive('\n').filter(|line| !line.trim_start().starts_with(MARK)).collect()
}

/// Sizes and settings into an entry.
fn write(table: &mut Table, classes: &[NewClass]) -> Outcome<()> {
    let mut sizes: Value = match classes {
        [only] => i64::from(only.size).into(),
        several => list(several).parse::<Value>()?,
    };
    let key = if classes.len() == 1 { "size" } else { "sizes" };
    for old in ["size", "sizes"] {
        if old == key
            && let Some(old) = table.get(old).and_then(Item::as_value)
        {
            *sizes.decor_mut() = old.decor().clone();
        } else {
            table.remove(old);
        }
    }
    table.insert(key, Item::Value(sizes));
    table.sort_values_by(|one, _, other, _| (one != key).cmp(&(other != key)));
    let settings = &classes[0].settings;
    if let Some(layers) = &settings.layers {
        // The tables of layers that are not there would be errors, and a batch may not fit.
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

/// `[8, 24, …]`, in lines.
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

fn remark(classes: &[NewClass]) -> String {
    let Some(class) = classes.first() else { return String::new() };
    let mut text = match class.seen {
        true => "chosen for the profile".to_owned(),
        false => "not in the profile; for what another input may ask for".to_owned(),
    };
    for reason in &class.settings.reasons {
        text += "; ";
        text += reason;
    }
    format!("{MARK} {text}\n")
}
