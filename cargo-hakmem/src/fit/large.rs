//! Whether large blocks that were freed are worth keeping: `cache` in `[large]`.
//!
//! What is kept is resident until the purge delay is over, also while everything else is at its peak. Without it each
//! large block is mapped anew, and its pages come one fault after the other. How much time that would take follows from the
//! profile; where it is next to nothing, the memory is better.

use toml_edit::{DocumentMut, Item, Table, value};

use super::demand::Goal;
use super::kept;
use crate::profile::Profile;

/// Microseconds for a page that comes by a fault, and for mapping and unmapping a block (docs/LEDGER.md).
const FAULT: f64 = 2.4;
const MAPPING: f64 = 5.0;
const PAGE: f64 = 4096.0;

/// What the default is, in the words of the default spec and of others. Any other value is the user's own choice.
pub(super) const DEFAULT: u64 = 128 << 20;

/// The part of the recorded time that it would take at most to keep nothing.
pub(crate) fn price_of_none(profile: &Profile, largest: u32) -> f64 {
    let large = profile.requests.iter().filter(|((size, _), _)| *size > u64::from(largest));
    let price = |(&(size, _), request): (&(u64, u64), &crate::profile::Request)| {
        // A block that grows keeps its pages; the new ones are half of it, mostly.
        let mapped = request.allocated as f64 + request.grown_to as f64 / 2.0;
        mapped * size as f64 / PAGE * FAULT + request.allocated as f64 * MAPPING
    };
    large.map(price).sum::<f64>() / profile.microseconds.max(1) as f64
}

/// Whether nothing shall be kept, at such a price.
pub(crate) fn keeps_none(price: f64, goal: Goal, cache: u64) -> bool {
    let allowed = match goal {
        Goal::Memory => 0.1,
        Goal::Balanced => 0.05,
        Goal::Speed => 0.0,
    };
    // A program without large blocks says nothing about them.
    cache == DEFAULT && price > 0.0 && price < allowed
}

/// Has the spec keep nothing, and remember what it kept. A table in one line has no room for that, and stays.
pub(super) fn keep_none(document: &mut DocumentMut) {
    let reason = kept::remark("", "what is kept of freed large blocks takes more memory than it saves time");
    let added = !document.contains_key("large");
    let Some(table) = document.entry("large").or_insert(Item::Table(Table::new())).as_table_mut() else { return };
    if added {
        table.decor_mut().set_prefix("\n");
    }
    let old = table.get("cache").and_then(Item::as_value).map(|old| (old.to_string(), old.decor().clone()));
    let mut marks = String::new();
    let mut new = value(0);
    if let (Some((text, decor)), Some(new)) = (old, new.as_value_mut()) {
        marks = kept::keep_line("", &format!("cache = {}", text.trim()));
        *new.decor_mut() = decor;
    }
    table["cache"] = new;
    if let Some(mut key) = table.key_mut("cache") {
        let decor = key.leaf_decor_mut();
        let comments = decor.prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default().to_owned();
        decor.set_prefix(comments + &marks + &reason);
    }
}

/// Takes back what `keep_none` did, if it did.
pub(super) fn restore(document: &mut DocumentMut) -> bool {
    let Some(table) = document.get_mut("large").and_then(Item::as_table_mut) else { return false };
    let Some(key) = table.key("cache") else { return false };
    let prefix = key.leaf_decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
    let (comments, old, marked) = kept::split(prefix);
    if !marked {
        return false;
    }
    let old = old.parse::<DocumentMut>().ok().and_then(|mut line| line.remove("cache")?.into_value().ok());
    match (old, table.get_mut("cache").and_then(Item::as_value_mut)) {
        (Some(mut old), Some(new)) => {
            *old.decor_mut() = new.decor().clone();
            *new = old;
            if let Some(mut key) = table.key_mut("cache") {
                key.leaf_decor_mut().set_prefix(comments);
            }
        }
        _ => _ = table.remove("cache"),
    }
    if table.is_empty() {
        document.remove("large");
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Request;

    #[test]
    fn what_was_kept_is_remembered() {
        for text in [
            "[large] # here\n# much\ncache = \"128 MiB\" # as ever\n\n[purge]\ndelay_ms = 1\n",
            "[purge]\ndelay_ms = 1\n",
        ] {
            let mut document: DocumentMut = text.parse().unwrap();
            keep_none(&mut document);
            let none = document.to_string();
            assert!(none.contains("cache = 0"), "{none}");
            let mut again: DocumentMut = none.parse().unwrap();
            assert!(restore(&mut again));
            assert_eq!(again.to_string(), text);
        }
        let mut own: DocumentMut = "[large]\ncache = 0\n".parse().unwrap();
        assert!(!restore(&mut own));
        assert_eq!(own.to_string(), "[large]\ncache = 0\n");
    }

    #[test]
    fn rare_large_blocks_are_not_kept() {
        let mut profile = Profile { microseconds: 1_000_000, runs: 1, ..Profile::default() };
        profile.requests.insert((1 << 20, 8), Request { allocated: 10, ..Request::default() });
        let price = price_of_none(&profile, 262_144);
        // 2,560 pages and ten mappings.
        assert!((price - (2_560.0 * FAULT + 50.0) / 1e6).abs() < 1e-9, "{price}");
        assert!(keeps_none(price, Goal::Balanced, DEFAULT) && !keeps_none(price, Goal::Speed, DEFAULT));
        assert!(!keeps_none(price, Goal::Memory, 1 << 20), "the user's own number");
        assert_eq!(price_of_none(&profile, 2 << 20), 0.0);
        profile.requests.insert((2 << 20, 8), Request { allocated: 100, ..Request::default() });
        assert!(!keeps_none(price_of_none(&profile, 262_144), Goal::Balanced, DEFAULT));
    }
}
