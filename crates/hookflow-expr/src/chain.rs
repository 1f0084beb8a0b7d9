//! Paths that are known when a file loads (`webhook.body.customer.name`), and how they are followed in the scope.

use crate::eval_error::Failure;
use crate::lookup::{Found, Lookup};
use crate::path::{Segment, child, label};
use crate::value::{Part, View, kind};
use hookflow_text::{Json, nearest};
use minijinja::Value;
use minijinja::value::ValueKind;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// A path whose every part is written out.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) root: String,
    pub(crate) segments: Box<[Segment]>,
    /// The root is bound by `@{for}`.
    pub(crate) local: bool,
    /// A missing part is no error: `default(…)` or `is defined` stands around it.
    pub(crate) lenient: bool,
    pub(crate) range: Range<usize>,
}

/// What a path leads to.
#[derive(Debug)]
pub(crate) enum Place {
    Json(View),
    Part(Arc<dyn Lookup>),
    DidNotRun,
}

impl Place {
    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Json(view) => view.into_value(),
            Self::Part(part) => Value::from_object(Part(part)),
            Self::DidNotRun => Value::from(()),
        }
    }
}

impl Chain {
    /// Follows the path through the scope, to its end or to the first part that is not there.
    pub(crate) fn find(&self, scope: &dyn Lookup) -> Result<Place, Failure> {
        let Some(mut found) = scope.get(&self.root) else {
            return Err(self.missing(|| self.not_among(0, &scope.names())));
        };
        for (at, segment) in self.segments.iter().enumerate() {
            found = match found {
                Found::Part(part) => match part.get(&segment.key()) {
                    Some(next) => next,
                    None => return Err(self.missing(|| self.not_among(at + 1, &part.names()))),
                },
                Found::Value(json) => {
                    return View::find(json, |json| self.descend(json, at)).map(Place::Json);
                }
                Found::Unreadable(why) => return Err(self.unreadable(&why)),
                Found::DidNotRun => {
                    return Err(self.missing(|| {
                        let (whole, step) = (self.label(self.segments.len()), self.label(at));
                        format!("`{whole}` is missing: the step `{step}` did not run")
                    }));
                }
            };
        }
        Ok(match found {
            Found::Part(part) => Place::Part(part),
            Found::Value(json) => Place::Json(View::new(json)),
            Found::DidNotRun => Place::DidNotRun,
            Found::Unreadable(why) => return Err(self.unreadable(&why)),
        })
    }

    /// Follows the path within a value that a loop has bound.
    pub(crate) fn find_in(&self, bound: Value) -> Result<Value, Failure> {
        self.segments.iter().enumerate().try_fold(bound, |value, (at, segment)| {
            member(&value, segment)
                .ok_or_else(|| self.missing(|| why_missing(&self.label(at), &value, segment)))
        })
    }

    fn descend<'j>(&self, json: &'j Json, from: usize) -> Result<&'j Json, Failure> {
        let mut rest = self.segments.iter().enumerate().skip(from);
        rest.try_fold(json, |json, (at, segment)| {
            child(json, segment).ok_or_else(|| self.missing(|| why_not_there(&self.label(at), json, segment)))
        })
    }

    fn unreadable(&self, why: &str) -> Failure {
        Failure::failed(why).at(self.range.clone())
    }

    /// The failure; nobody reads why within `default(…)`.
    fn missing(&self, why: impl FnOnce() -> String) -> Failure {
        let why = if self.lenient { String::new() } else { why() };
        Failure::missing(why).at(self.range.clone())
    }

    /// The name after the first `parts` parts is not among `names`.
    fn not_among(&self, parts: usize, names: &[Arc<str>]) -> String {
        let last = parts.checked_sub(1).and_then(|last| self.segments.get(last));
        let word = last.map_or(Cow::Borrowed(self.root.as_str()), Segment::key);
        format!("`{}` is missing{}", self.label(parts), near(&word, names.iter().map(AsRef::as_ref)))
    }

    /// The path up to its first `parts` parts, as people write it.
    fn label(&self, parts: usize) -> String {
        label(&self.root, self.segments.iter().take(parts))
    }
}

/// The value under one part of any value.
pub(crate) fn member(value: &Value, segment: &Segment) -> Option<Value> {
    if let Some(view) = value.downcast_object_ref::<View>() {
        return view.child(segment).map(View::into_value);
    }
    if value.as_str().is_some() {
        return None;
    }
    let key = match segment {
        Segment::Key(key) => Value::from(key.as_str()),
        Segment::Index(index) => Value::from(*index),
    };
    value.get_item(&key).ok().filter(|found| !found.is_undefined())
}

/// Why `segment` is not in `value`, which `parent` leads to.
pub(crate) fn why_missing(parent: &str, value: &Value, segment: &Segment) -> String {
    if let Some(view) = value.downcast_object_ref::<View>() {
        return why_not_there(parent, view.get(), segment);
    }
    let here = label(parent, [segment]);
    if value.kind() == ValueKind::Map {
        let names: Vec<Value> = value.try_iter().map(Iterator::collect).unwrap_or_default();
        let near = near(&segment.key(), names.iter().filter_map(Value::as_str));
        return format!("`{here}` is missing{near}");
    }
    format!("`{here}` is missing: `{parent}` is {}", kind(value))
}

fn why_not_there(parent: &str, json: &Json, segment: &Segment) -> String {
    let here = label(parent, [segment]);
    let why = match (json, segment) {
        (Json::Object(map), _) => near(&segment.key(), map.keys().map(String::as_str)),
        (Json::Array(items), Segment::Index(_)) => format!(": `{parent}` has {} items", items.len()),
        (Json::Array(_), Segment::Key(_)) => {
            format!(": `{parent}` is a list; its first item is `{parent}[0]`")
        }
        (Json::Null, _) => format!(": `{parent}` is null"),
        (Json::Bool(_), _) => format!(": `{parent}` is true or false"),
        (Json::Number(_), _) => format!(": `{parent}` is a number"),
        (Json::String(_), _) => format!(": `{parent}` is text"),
    };
    format!("`{here}` is missing{why}")
}

/// The nearest name there is, among those of a length that people type: an event may hold many and long keys.
fn near<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> String {
    match nearest(word, names.filter(|name| name.len() <= 64).take(500)) {
        Some(name) => format!("; the nearest there is `{name}`"),
        None => String::new(),
    }
}
