//! Rewrites the text of a spec with other classes.
//!
//! Pinned entries are not changed. Every other entry keeps its comments and its keys, and gets the new classes that
//! fall into its range; where these need different settings, copies of the entry follow. An entry without a class is
//! dropped, and its comments go to the next one. The replaced entries are kept as comments (`kept`), and the next
//! tuning starts from them.

use hakmem_spec::{Class, Source, Spec};
use toml_edit::{ArrayOfTables, Document, DocumentMut, Item, Table};

use super::entry::{self, NewClass};
use super::kept::{self, Prefix};
use super::large;
use crate::failure::{Failure, Outcome, fail};

/// The `[[class]]` entries of a spec, as they were before it was tuned.
#[derive(Debug, Clone)]
pub(crate) struct Entries {
    document: DocumentMut,
    entries: Vec<Entry>,
    /// The position of the entries among the tables of the document.
    position: Option<isize>,
    /// The value of `cache` in `[large]`.
    large_cache: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    table: Table,
    classes: Vec<Class>,
    pinned: bool,
}

impl Entries {
    /// Reads the entries of a spec. Entries that an earlier tuning wrote are replaced by those that it replaced.
    pub(crate) fn new(text: &str, spec: &Spec) -> Outcome<Self> {
        let (mut document, present) = tables(text, spec)?;
        // Tuning replaces only the default.
        let large_cache = if large::restore(&mut document) { large::DEFAULT } else { spec.large.cache };
        let position = present.first().and_then(|(table, _)| table.position());
        let mut entries = Vec::new();
        let mut comments = String::new();
        let trailing = Prefix::read(document.trailing().as_str().unwrap_or_default())?;
        let mut restored = !trailing.replaced.is_empty();
        for (mut table, classes) in present {
            // Keys that depend on the size must not be applied to other sizes.
            let pinned = classes.iter().any(|class| class.pinned)
                || ["align", "slab_units"].iter().any(|key| table.contains_key(key));
            let (before, indent) = kept::comments_and_indent(&table);
            let (prefix, indent) = (Prefix::read(before)?, indent.to_owned());
            restored |= !prefix.replaced.is_empty();
            for mut replaced in prefix.replaced {
                let own = replaced.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default().to_owned();
                replaced.decor_mut().set_prefix(std::mem::take(&mut comments) + &own);
                entries.push(Entry { table: replaced, classes: Vec::new(), pinned: false });
            }
            comments += &prefix.rest;
            if pinned || !(prefix.marked && restored) {
                table.decor_mut().set_prefix(std::mem::take(&mut comments) + &indent);
                entries.push(Entry { table, classes, pinned });
            } else if comments.trim().is_empty() {
                comments.clear();
            }
        }
        entries.extend(trailing.replaced.into_iter().map(|table| Entry { table, classes: vec![], pinned: false }));
        document.set_trailing(comments + &trailing.rest);
        let mut entries = Self { document, entries, position, large_cache };
        if restored {
            entries.read_classes()?;
        }
        Ok(entries)
    }

    /// Reads the classes of the entries that are not pinned, by parsing the spec as it was before tuning.
    fn read_classes(&mut self) -> Outcome<()> {
        let open = || self.entries.iter().filter(|entry| !entry.pinned);
        let mut document = self.document.clone();
        let classes = ArrayOfTables::from_iter(open().map(|entry| at(&entry.table, self.position)));
        document.insert("class", Item::ArrayOfTables(classes));
        let source = Source::file("the spec before tuning", document.to_string());
        let spec = hakmem_spec::parse(&source).map_err(|errors| Failure::of_spec(&source, &errors))?;
        let (_, tables) = tables(&source.text, &spec)?;
        let open = self.entries.iter_mut().filter(|entry| !entry.pinned);
        open.zip(tables).for_each(|(entry, (_, classes))| entry.classes = classes);
        Ok(())
    }

    /// The classes of pinned entries, entry by entry.
    pub(crate) fn pinned(&self) -> impl Iterator<Item = &[Class]> {
        self.entries.iter().filter(|entry| entry.pinned).map(|entry| &*entry.classes)
    }

    /// The value of `cache` in `[large]`.
    pub(crate) fn large_cache(&self) -> u64 {
        self.large_cache
    }

    /// The largest class.
    pub(crate) fn largest(&self) -> u32 {
        self.entries.iter().flat_map(|entry| &entry.classes).map(|class| class.size).max().unwrap_or(0)
    }

    /// The entry whose range contains a new class: the first whose largest class is large enough, or the last.
    fn entry_of(&self, size: u32) -> Option<usize> {
        let open = || self.entries.iter().enumerate().filter(|(_, entry)| !entry.pinned && !entry.classes.is_empty());
        let reaches = |entry: &Entry| entry.classes.last().is_some_and(|class| class.size >= size);
        open().find(|(_, entry)| reaches(entry)).or(open().next_back()).map(|(number, _)| number)
    }

    /// The class whose settings a new class inherits.
    pub(crate) fn like(&self, size: u32) -> Option<&Class> {
        let classes = &self.entries[self.entry_of(size)?].classes;
        classes.iter().find(|class| class.size >= size).or(classes.last())
    }

    /// The text with these classes, ascending, in the place of those that are not pinned.
    pub(crate) fn with(mut self, classes: &[NewClass], keeps_no_large: bool) -> Outcome<String> {
        let mut tables = ArrayOfTables::new();
        let mut taken = vec![false; self.entries.len()];
        let mut above = String::new();
        for run in self.runs(classes) {
            let number = run.entry;
            // Entries without a class are kept as comments here.
            for (passed, taken) in self.entries[..number.unwrap_or(0)].iter().zip(&mut taken) {
                if !std::mem::replace(taken, true) {
                    above += &kept::keep(&passed.table);
                }
            }
            let entry = number.map(|number| &self.entries[number]);
            let mut table = entry.map_or_else(Table::new, |entry| at(&entry.table, self.position));
            let (comments, indent) = kept::comments_and_indent(&table);
            let (comments, indent) = (comments.to_owned(), indent.to_owned());
            let first = number.is_none_or(|number| !std::mem::replace(&mut taken[number], true));
            match entry {
                Some(entry) if entry.pinned => above += &comments,
                Some(entry) if first => above += &kept::keep(&entry.table),
                _ => above += "\n",
            }
            if !run.classes.is_empty() {
                entry::write(&mut table, &run.classes)?;
                above += &entry::remark(&run.classes, &indent);
            }
            table.decor_mut().set_prefix(std::mem::take(&mut above) + &indent);
            tables.push(table);
        }
        for (passed, _) in self.entries.iter().zip(&taken).filter(|(_, taken)| !**taken) {
            above += &kept::keep(&passed.table);
        }
        self.document.insert("class", Item::ArrayOfTables(tables));
        if keeps_no_large {
            large::keep_none(&mut self.document);
        }
        let trailing = self.document.trailing().as_str().unwrap_or_default().to_owned();
        self.document.set_trailing(above + &trailing);
        Ok(self.document.to_string())
    }

    /// New and pinned classes in ascending order, grouped into entries.
    fn runs(&self, classes: &[NewClass]) -> Vec<Run> {
        let has = |entry: &Entry, size: u32| entry.classes.iter().any(|class| class.size == size);
        let mut runs: Vec<Run> = Vec::new();
        for class in classes {
            let pinned = self.entries.iter().position(|entry| entry.pinned && has(entry, class.size));
            let entry = pinned.or_else(|| self.entry_of(class.size));
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

/// `[[class]]` tables, each with its classes.
type ClassTables = Vec<(Table, Vec<Class>)>;

/// The `[[class]]` tables of a text, and the rest of it.
fn tables(text: &str, spec: &Spec) -> Outcome<(DocumentMut, ClassTables)> {
    let document = Document::parse(text.to_owned())?;
    // Only an immutable document knows the spans of its values.
    let place = |table: &Table| table.get("sizes").or(table.get("size")).and_then(Item::span);
    let Some(tables) = document.get("class").and_then(Item::as_array_of_tables) else {
        return fail("the classes must be written as [[class]] entries");
    };
    let places: Vec<_> = tables.iter().map(place).collect();
    let mut document = document.into_mut();
    let Some(Item::ArrayOfTables(tables)) = document.remove("class") else { unreachable!("it was there above") };
    let classes = places.into_iter().map(|place| {
        let inside = |class: &&Class| place.as_ref().is_some_and(|place| place.contains(&class.span.start));
        spec.classes.iter().filter(inside).cloned().collect()
    });
    Ok((document, tables.into_iter().zip(classes).collect()))
}

/// A table and its subtables at a position in the document.
fn at(table: &Table, position: Option<isize>) -> Table {
    let mut table = table.clone();
    table.set_position(position);
    for (_, item) in table.iter_mut() {
        if let Item::Table(inner) = item {
            inner.set_position(position);
        }
    }
    table
}

/// The classes of one entry: new ones with the same settings, or none for a pinned entry.
struct Run {
    entry: Option<usize>,
    classes: Vec<NewClass>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::settings::Settings;

    const SPEC: &str = "# Mine.
[defaults]
layers = [\"unified\", \"sll\"] # as ever

    # The small ones.
    [[class]]
    # by eight
    sizes = { from = 8, to = 128, step = 8 } # all of them
    unified = { capacity = 32 }

# Ours.
[[class]]
size = 136
pinned = true

# The others.
[[class]]
sizes = [512, 1024, 8192]
batch = 2
[class.unified]
capacity = 2 # few

# In the end.
[purge]
delay_ms = 100
# The end.
";

    fn entries(text: &str) -> Entries {
        let source = Source::file("a spec", text);
        let spec = hakmem_spec::parse(&source).unwrap_or_else(|errors| panic!("{text}\n{}", errors[0].render(&source)));
        Entries::new(text, &spec).unwrap()
    }

    /// The text with other classes, of which those of at least `own` bytes get layers different from the entry's.
    fn tuned(text: &str, sizes: &[u32], own: u32) -> String {
        let settings = Settings {
            layers: Some(vec!["heapv2"]),
            batch: Some(1),
            specialise: Some(false),
            reasons: vec!["to see what comes of it"],
            ..Settings::default()
        };
        let class = |&size: &u32| {
            let settings = if size >= own { settings.clone() } else { Settings::default() };
            NewClass { size, settings, seen: true }
        };
        let text = entries(text).with(&sizes.iter().map(class).collect::<Vec<_>>(), own.is_multiple_of(2)).unwrap();
        entries(&text);
        text
    }

    #[test]
    fn comments_and_pinned_entries_stay() {
        let text = tuned(SPEC, &[24, 40, 136, 2048], 2048);
        for kept in [
            "# Mine.\n",
            "# as ever\n",
            "    # The small ones.\n    # tune: replaces\n    # tune:   [[class]]\n",
            "    # by eight\n    sizes = [24, 40] # all of them\n    unified = { capacity = 32 }\n",
            "# Ours.\n[[class]]\nsize = 136\npinned = true\n",
            "# tune:   capacity = 2 # few\n",
            "# In the end.\n[purge]\n",
            "# The end.\n",
        ] {
            assert!(text.contains(kept), "{kept:?} is gone:\n{text}");
        }
    }

    #[test]
    fn the_result_does_not_depend_on_earlier_tunings() {
        let choices: [(&[u32], u32); 5] = [
            (&[24, 40, 136, 2048], 2048),
            (&[16, 48, 136, 512], 16),
            (&[136], 9999),
            (&[8, 136, 1024, 4096], 24),
            (&[64, 128, 136], 128),
        ];
        for (sizes, own) in choices {
            let fresh = tuned(SPEC, sizes, own);
            for (earlier, its_own) in choices {
                let once = tuned(SPEC, earlier, its_own);
                assert_eq!(tuned(&once, sizes, own), fresh, "after {earlier:?}");
                // The largest class of the original spec limits all later choices.
                assert_eq!(entries(&once).largest(), 8192);
            }
        }
    }

    #[test]
    fn an_entry_that_the_user_pins_is_not_changed() {
        let once = tuned(SPEC, &[24, 40, 136, 2048], 2048);
        let pinned = once.replace("size = 2048", "size = 2048\npinned = true # stays");
        let again = tuned(&pinned, &[32, 136, 512, 2048, 8192], 9999);
        assert!(again.contains("size = 2048\npinned = true # stays\n"), "{again}");
        assert_eq!(again.matches("# The others.").count(), 1, "{again}");
        assert!(again.contains("sizes = [512]") || again.contains("size = 512"), "{again}");
    }

    #[test]
    fn without_marks_the_spec_is_tuned_as_it_is() {
        let once = tuned(SPEC, &[24, 40, 136, 2048], 2048);
        let unmarked: String = once.split_inclusive('\n').filter(|line| !line.contains("# tune:")).collect();
        assert_eq!(entries(&unmarked).largest(), 2048);
        // A comment of tuning without a replaced entry does not drop the entry.
        let remarks: String = once.split_inclusive('\n').filter(|line| !line.contains("# tune:   ")).collect();
        assert_eq!(entries(&remarks).largest(), 2048);
        let broken = once.replace("# tune:   sizes = [512, 1024, 8192]", "# tune:   sizes = [512");
        let source = Source::file("a spec", &*broken);
        let spec = hakmem_spec::parse(&source).unwrap();
        let failure = Entries::new(&broken, &spec).unwrap_err().to_string();
        assert!(failure.contains("replaced by tuning cannot be read"), "{failure}");
    }
}
