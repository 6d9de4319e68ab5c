//! Reading typed values from TOML; a value of another type is an error.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::diagnostic::Diagnostics;
use crate::layers::LayerKind;
use crate::suggest;
use crate::units::parse_bytes;

/// A value of a TOML document.
pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

/// Reads values and reports errors.
///
/// Each method takes the key of the value and an example for the help text. A method that returns `None` has reported
/// why.
#[derive(Debug)]
pub(crate) struct Reader<'d> {
    pub(crate) catalogue: &'static [LayerKind],
    pub(crate) diagnostics: &'d mut Diagnostics,
}

impl Reader<'_> {
    pub(crate) fn boolean(&mut self, value: &Value<'_>, key: &str, example: &str) -> Option<Spanned<bool>> {
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(Spanned::new(value.span(), *flag)),
            _ => self.mismatch(value, key, "true or false", example),
        }
    }

    pub(crate) fn integer(&mut self, value: &Value<'_>, key: &str, example: &str) -> Option<Spanned<u64>> {
        let DeValue::Integer(integer) = value.get_ref() else {
            return self.mismatch(value, key, "an integer", example);
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix());
        match number.map(|number| (number < 0, u64::try_from(number))) {
            Ok((_, Ok(number))) => return Some(Spanned::new(value.span(), number)),
            Ok((true, _)) => self.diagnostics.error(
                value.span(),
                format!("`{key}` must not be negative"),
                "this is less than 0",
                for_example(example),
            ),
            _ => self.diagnostics.error(
                value.span(),
                format!("`{key}` is too large"),
                "this is more than 64 bits can hold",
                for_example(example),
            ),
        }
        None
    }

    /// A byte quantity: an integer, or a string with a unit.
    pub(crate) fn bytes(&mut self, value: &Value<'_>, key: &str, example: &str) -> Option<Spanned<u64>> {
        match value.get_ref() {
            DeValue::Integer(_) => self.integer(value, key, example),
            DeValue::String(text) => match parse_bytes(text) {
                Ok(bytes) => Some(Spanned::new(value.span(), bytes)),
                Err(error) => {
                    self.diagnostics.error(
                        value.span(),
                        format!("`{key}` must be a number of bytes"),
                        error.to_string(),
                        for_example(example),
                    );
                    None
                }
            },
            _ => self.mismatch(value, key, "a number of bytes", example),
        }
    }

    /// One of a few words, as the value that it stands for.
    pub(crate) fn word<T: Copy>(&mut self, value: &Value<'_>, key: &str, words: &[(&str, T)]) -> Option<Spanned<T>> {
        let (first, _) = words.first()?;
        let DeValue::String(word) = value.get_ref() else {
            return self.mismatch(value, key, "a string", &format!("{key} = {first:?}"));
        };
        let found = words.iter().find(|(name, _)| *name == word.as_ref());
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
            self.diagnostics.error(
                value.span(),
                format!("`{key}` cannot be `{word}`"),
                "there is no such policy",
                suggest::names(word, &names),
            );
        }
        found.map(|(_, meaning)| Spanned::new(value.span(), *meaning))
    }

    pub(crate) fn array<'v, 'a>(
        &mut self,
        value: &'v Value<'a>,
        key: &str,
        expected: &str,
        example: &str,
    ) -> Option<&'v DeArray<'a>> {
        match value.get_ref() {
            DeValue::Array(array) => Some(array),
            _ => self.mismatch(value, key, expected, example),
        }
    }

    pub(crate) fn table<'v, 'a>(&mut self, value: &'v Value<'a>, key: &str, example: &str) -> Option<&'v DeTable<'a>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => self.mismatch(value, key, "a table", example),
        }
    }

    /// Reports a value of the wrong type.
    pub(crate) fn mismatch<T>(&mut self, value: &Value<'_>, key: &str, expected: &str, example: &str) -> Option<T> {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.diagnostics.error(
            value.span(),
            format!("`{key}` must be {expected}"),
            format!("this is {found}"),
            for_example(example),
        );
        None
    }

    /// Reports a key that is unknown in `table`.
    pub(crate) fn unknown_key(&mut self, key: &str, span: Range<usize>, table: &str, possible: &[&str]) {
        let help = match possible {
            [] => format!("nothing can be set in {table}; remove it"),
            _ => suggest::names(key, possible),
        };
        self.diagnostics.error(span, format!("unknown key `{key}` in {table}"), "nothing reads this", help);
    }

    /// Reports a key that is missing in `table`.
    pub(crate) fn missing_key(&mut self, key: &str, span: Range<usize>, table: &str, example: &str) {
        self.diagnostics.error(span, format!("{table} has no `{key}`"), "it is missing here", for_example(example));
    }
}

fn for_example(example: &str) -> String {
    format!("write, for example, `{example}`")
}
