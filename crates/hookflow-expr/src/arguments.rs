//! What a function was called with, read as what it needs.

use crate::eval_error::Failure;
use crate::evaluation::{Evaluation, MAX_OUTPUT};
use crate::function::Function;
use crate::value::{as_xml, kind, text};
use minijinja::Value;
use minijinja::value::ValueKind;
use std::borrow::Cow;

/// The arguments of one call.
#[derive(Debug)]
pub(crate) struct Arguments<'a> {
    pub(crate) function: &'static Function,
    pub(crate) values: Vec<Value>,
    pub(crate) evaluation: &'a Evaluation,
}

impl Arguments<'_> {
    /// The argument, if it was given.
    pub(crate) fn get(&self, nth: usize) -> Option<&Value> {
        self.values.get(nth).filter(|value| !value.is_undefined())
    }

    /// The argument, which has to be given.
    pub(crate) fn need(&self, nth: usize) -> Result<&Value, Failure> {
        self.get(nth)
            .ok_or_else(|| Failure::missing(format!("`{}` needs {}", self.function.name, self.name(nth))))
    }

    /// Text; numbers, `true` and `false` count as text too.
    pub(crate) fn text(&self, nth: usize) -> Result<Cow<'_, str>, Failure> {
        let value = self.need(nth)?;
        match value.kind() {
            ValueKind::String | ValueKind::Number | ValueKind::Bool | ValueKind::Bytes => text(value),
            ValueKind::Plain if as_xml(value).is_some() => text(value),
            _ => Err(self.mistyped(nth, "text")),
        }
    }

    /// Text, or `otherwise` when it was not given.
    pub(crate) fn text_or<'s>(&'s self, nth: usize, otherwise: &'s str) -> Result<Cow<'s, str>, Failure> {
        if self.get(nth).is_some() { self.text(nth) } else { Ok(Cow::Borrowed(otherwise)) }
    }

    /// Text or bytes, as bytes.
    pub(crate) fn bytes(&self, nth: usize) -> Result<Cow<'_, [u8]>, Failure> {
        if let Some(bytes) = self.get(nth).and_then(Value::as_bytes) {
            return Ok(Cow::Borrowed(bytes));
        }
        Ok(match self.text(nth)? {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })
    }

    /// A whole number.
    pub(crate) fn integer(&self, nth: usize) -> Result<i64, Failure> {
        let value = self.need(nth)?;
        let number = Some(value).filter(|value| value.is_number()).and_then(Value::as_i64);
        number.ok_or_else(|| self.mistyped(nth, "a whole number"))
    }

    /// A count of characters or items; below zero counts as zero.
    pub(crate) fn count(&self, nth: usize) -> Result<usize, Failure> {
        Ok(usize::try_from(self.integer(nth)?.max(0)).unwrap_or(usize::MAX).min(MAX_OUTPUT))
    }

    /// Whether the argument was given and holds.
    pub(crate) fn flag(&self, nth: usize) -> bool {
        self.get(nth).is_some_and(Value::is_true)
    }

    /// Every item of a list.
    pub(crate) fn items(&self, nth: usize) -> Result<impl Iterator<Item = Result<Value, Failure>>, Failure> {
        let value = self.need(nth)?;
        if !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map) {
            return Err(self.mistyped(nth, "a list"));
        }
        let items = value.try_iter().map_err(|error| Failure::of(&error))?.checked();
        Ok(items.map(|item| item.map_err(|error| Failure::of(&error))))
    }

    /// The argument is something else than what is needed.
    pub(crate) fn mistyped(&self, nth: usize, expected: &str) -> Failure {
        let found = self.get(nth).map_or("nothing", kind);
        let more = if expected == "text" && matches!(found, "a list" | "an object") {
            "; `| json` makes text of it"
        } else {
            ""
        };
        let (function, name) = (self.function.name, self.name(nth));
        Failure::mistyped(format!("`{function}` needs {expected} as {name}, found {found}{more}"))
    }

    /// The call failed.
    pub(crate) fn failed(&self, why: impl std::fmt::Display) -> Failure {
        Failure::failed(format!("`{}`: {why}", self.function.name))
    }

    fn name(&self, nth: usize) -> String {
        format!("`{}`", self.function.parameters.get(nth).copied().unwrap_or("…"))
    }
}
