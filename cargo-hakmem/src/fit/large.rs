//! Whether to keep freed large blocks: `cache` in `[large]`.
//!
//! A kept block is resident until the purge delay is over. If none are kept, each large block is a new mapping, with a
//! page fault for each page. The profile shows how much time that would cost; if it is negligible, none are kept.

use toml_edit::{DocumentMut, Item, Table, value};

use super::cost::PAGE;
use super::demand::Goal;
use super::kept;
use crate::profile::Profile;

/// Microseconds of a page fault, as measured.
const FAULT: f64 = 2.4;
/// Microseconds to map and unmap a block, as measured.
const MAPPING: f64 = 5.0;

/// The default of `cache`. Any other value is the user's choice, and is not changed.
pub(super) const DEFAULT: u64 = 128 << 20;

/// The fraction of the recorded time that it would cost, at most, to keep no freed large blocks.
pub(crate) fn cost_without_cache(profile: &Profile, largest: u32) -> f64 {
    let large = profile.requests.iter().filter(|((size, _), _)| *size > u64::from(largest));
    let price = |(&(size, _), request): (&(u64, u64), &crate::profile::Request)| {
        // A block that grows keeps its pages. Typically half of it is new.
        let mapped = request.allocated as f64 + request.grown_to as f64 / 2.0;
        mapped * size as f64 / f64::from(PAGE) * FAULT + request.allocated as f64 * MAPPING
    };
    large.map(price).sum::<f64>() / profile.microseconds.max(1) as f64
}

/// Whether to keep no freed large blocks, at this cost in time.
pub(crate) fn should_keep_none(price: f64, goal: Goal, cache: u64) -> bool {
    let allowed = match goal {
        Goal::Memory => 0.1,
        Goal::Balanced => 0.05,
        Goal::Speed => 0.0,
    };
    // Without large blocks in the profile there is no reason for a change.
    cache == DEFAULT && price > 0.0 && price < allowed
}

/// Sets `cache` to 0 and keeps the old value as a comment. An inline table has no room for comments and is not changed.
pub(super) fn keep_none(document: &mut DocumentMut) {
    let reason = kept::remark("", "keeping freed large blocks would save little time for its memory");
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

/// Undoes [`keep_none`]; whether it had been applied.
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
    fn the_old_value_is_restored() {
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
        let price = cost_without_cache(&profile, 262_144);
        // 2,560 pages and ten mappings.
        assert!((price - (2_560.0 * FAULT + 50.0) / 1e6).abs() < 1e-9, "{price}");
        assert!(should_keep_none(price, Goal::Balanced, DEFAULT) && !should_keep_none(price, Goal::Speed, DEFAULT));
        assert!(!should_keep_none(price, Goal::Memory, 1 << 20), "the user's choice");
        assert_eq!(cost_without_cache(&profile, 2 << 20), 0.0);
        profile.requests.insert((2 << 20, 8), Request { allocated: 100, ..Request::default() });
        assert!(!should_keep_none(cost_without_cache(&profile, 262_144), Goal::Balanced, DEFAULT));
    }
}
