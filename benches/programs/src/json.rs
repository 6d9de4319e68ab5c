//! JSON to values and back: parsed untyped and typed, merged into a growing document, mutated, written.

use crate::checksum::Checksum;
use crate::input::{self, Rng};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const RECORDS: usize = 600;

#[derive(Serialize, Deserialize)]
struct Record {
    id: u64,
    name: String,
    title: String,
    size: u64,
    ratio: f64,
    open: bool,
    owner: Owner,
    labels: Vec<Label>,
    body: Option<String>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct Owner {
    login: String,
    id: u64,
    roles: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Label {
    name: String,
    color: String,
}

/// A merge patch (RFC 7396).
fn merge(into: &mut Value, patch: Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    into.remove(&key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (into, patch) => *into = patch,
    }
}

fn mutate(rng: &mut Rng, words: &[&str], value: &mut Value) {
    match value {
        Value::Object(map) => {
            if rng.below(8) == 0 {
                map.insert(format!("note-{}", rng.below(40)), json!({ "text": rng.sentence(words, 8), "at": [1, 2] }));
            }
            map.values_mut().for_each(|value| mutate(rng, words, value));
        }
        Value::Array(values) => {
            if rng.below(3) == 0 && !values.is_empty() {
                let at = rng.below(values.len());
                values.swap_remove(at);
            }
            values.iter_mut().for_each(|value| mutate(rng, words, value));
        }
        Value::String(text) if rng.below(4) == 0 => {
            text.push(' ');
            text.push_str(rng.pick(words));
        }
        _ => {}
    }
}

pub(crate) fn run(scale: u32) -> u64 {
    let words = input::words();
    let mut rng = Rng::new(2);
    let mut sum = Checksum::default();
    let mut merged = Value::Object(Map::new());
    for _ in 0..scale {
        let text = input::json(&mut rng, &words, RECORDS);
        let mut document: Value = serde_json::from_str(&text).expect("made as JSON");
        let records: Vec<Record> = serde_json::from_str(&text).expect("made as records");
        sum.count(records.iter().map(|record| record.labels.len() + record.rest.len()).sum());
        sum.text(&serde_json::to_string_pretty(&records).expect("records are JSON"));
        mutate(&mut rng, &words, &mut document);
        sum.text(&document.to_string());

        // The merged document is keyed by owner, so that it stops growing when all are there.
        let Value::Array(records) = document else { unreachable!("an array was made") };
        for record in records {
            let owner = record["owner"]["id"].to_string();
            merge(&mut merged, json!({ owner: record }));
        }
        let again: Value = serde_json::from_slice(&serde_json::to_vec(&merged).expect("a value")).expect("JSON");
        sum.count(usize::from(again == merged));
        sum.count(again.as_object().map_or(0, Map::len));
    }
    sum.text(&merged.to_string());
    sum.value()
}

#[cfg(test)]
#[test]
fn checksum() {
    assert_eq!(run(1), 0x7b0a_aeab_6ccb_f8e7);
}
