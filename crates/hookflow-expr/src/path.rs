//! Paths into values: `data[0].id`, `data["a-b"]`.

use hookflow_text::Json;
use minijinja::Value;
use std::borrow::Cow;
use std::fmt::Write as _;

/// One part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    Key(String),
    /// From the end when negative.
    Index(i64),
}

impl Segment {
    /// A calculated value as part of a path: text or a whole number.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        if let Some(text) = value.as_str() {
            return Some(Self::Key(text.to_owned()));
        }
        value.as_i64().map(Self::Index)
    }

    /// The part as a key.
    pub(crate) fn key(&self) -> Cow<'_, str> {
        match self {
            Self::Key(key) => Cow::Borrowed(key),
            Self::Index(index) => Cow::Owned(index.to_string()),
        }
    }
}

/// The value under one part.
pub(crate) fn child<'v>(value: &'v Json, segment: &Segment) -> Option<&'v Json> {
    match (value, segment) {
        (Json::Object(map), Segment::Key(key)) => map.get(key),
        (Json::Object(map), Segment::Index(index)) => map.get(&index.to_string()),
        (Json::Array(items), Segment::Index(index)) => items.get(position(*index, items.len())?),
        _ => None,
    }
}

/// Where an index stands in a list of `len` items.
pub(crate) fn position(index: i64, len: usize) -> Option<usize> {
    if index < 0 {
        len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
    } else {
        usize::try_from(index).ok()
    }
}

/// A path as people write it.
pub(crate) fn label<'s>(root: &str, segments: impl IntoIterator<Item = &'s Segment>) -> String {
    let mut out = root.to_owned();
    for segment in segments {
        let written = match segment {
            Segment::Index(index) => write!(out, "[{index}]"),
            Segment::Key(key) if is_name(key) && out.is_empty() => write!(out, "{key}"),
            Segment::Key(key) if is_name(key) => write!(out, ".{key}"),
            Segment::Key(key) => write!(out, "[\"{key}\"]"),
        };
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }
    out
}

/// Whether `text` can stand after a dot.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A path into a value, as captures write it: `data[0].id`; other keys in quotes: `data["a-b"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<Segment>);

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{why} in the path `{text}`; expected a path such as `data[0].id`");
        let mut segments = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            if let Some(inside) = rest.strip_prefix('[') {
                let (segment, after) = bracketed(inside)
                    .ok_or_else(|| wrong("`[` is not followed by a number or a quoted key"))?;
                segments.push(segment);
                rest = after;
                continue;
            }
            if !segments.is_empty() {
                rest = rest.strip_prefix('.').ok_or_else(|| wrong("a `.` is missing"))?;
            }
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (key, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            if key.is_empty() || key.contains([']', '"', '\'', ' ']) {
                return Err(wrong("a key is missing or needs quotes"));
            }
            segments.push(Segment::Key(key.to_owned()));
            rest = after;
        }
        if segments.is_empty() { Err(wrong("nothing stands")) } else { Ok(Self(segments)) }
    }

    /// The value at this path, if there is one.
    pub fn find<'v>(&self, value: &'v Json) -> Option<&'v Json> {
        self.0.iter().try_fold(value, child)
    }
}

/// What stands after `[`, and the rest after `]`.
fn bracketed(text: &str) -> Option<(Segment, &str)> {
    if let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let (key, rest) = text.get(1..)?.split_once(quote)?;
        return Some((Segment::Key(key.to_owned()), rest.strip_prefix(']')?));
    }
    let (index, rest) = text.split_once(']')?;
    Some((Segment::Index(index.trim().parse().ok()?), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_its_value() {
        let value: Json =
            serde_json::from_str(r#"{"data": [{"id": 7, "a-b": {"c.d": 1}}], "3": "three"}"#).unwrap();
        for (path, expected) in [
            ("data[0].id", Some("7")),
            ("data[-1]['a-b'][\"c.d\"]", Some("1")),
            ("data[0].a-b", Some("{\"c.d\":1}")),
            ("3", Some("\"three\"")),
            ("[3]", Some("\"three\"")),
            ("data[1].id", None),
            ("data.id", None),
            ("data[-9]", None),
        ] {
            let found = Path::parse(path).unwrap().find(&value).map(ToString::to_string);
            assert_eq!(found.as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in ["", ".", "a.", "a..b", "a[", "a[x]", "a[0", "a[\"x]", "a b", "a[0]b", "a]"] {
            assert!(Path::parse(bad).is_err(), "{bad}");
        }
    }
}
