//! "A list of properties": `a=1&b[c]=2&d[]=3`, as queries and form bodies write it, and the value it means.
//!
//! `a[b][c]=1` nests, `a[]=1` and repeats make lists, and so do the keys `0, 1, 2, …` in order. A name that cannot
//! nest (unbalanced brackets, deeper than [`MAX_DEPTH`], a part that already is something else) is a plain key.

use crate::charset;
use encoding_rs::Encoding;
use hookflow_text::Json;
use percent_encoding::percent_decode;
use serde_json::Map;
use std::borrow::Cow;

/// How deep a name may nest.
const MAX_DEPTH: usize = 32;
/// How many properties a form may hold. A query needs no bound of its own: the head of a request has one.
pub(crate) const MAX_FORM: usize = 10_000;

/// Why a form cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FormFault {
    /// Behind its percent signs it is not text in its encoding.
    NotText,
    /// More than [`MAX_FORM`] properties.
    TooMany,
}

/// A pair of a name and a value as bytes, unescaped.
pub(crate) type Pair<'t> = (Cow<'t, [u8]>, Cow<'t, [u8]>);

/// The pairs of a query or a form, unescaped.
pub(crate) fn pairs(text: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    raw_pairs(text).map(|(name, value)| (unescape(name), unescape(value)))
}

/// A query without the pairs of this name.
pub(crate) fn without(query: &str, name: &str) -> String {
    let kept = query.split('&').filter(|part| {
        let key = part.split_once('=').map_or(*part, |(key, _)| key);
        unescape(key.as_bytes()) != name.as_bytes()
    });
    kept.collect::<Vec<_>>().join("&")
}

/// A query as a value. What is not UTF-8 behind its percent signs stays as it was sent, so nothing is lost.
pub(crate) fn read_query(query: &str) -> Json {
    let readable = |escaped: &[u8]| {
        String::from_utf8(unescape(escaped).into_owned())
            .unwrap_or_else(|_| String::from_utf8_lossy(escaped).into_owned())
    };
    let mut properties = Properties::default();
    for (name, value) in raw_pairs(query.as_bytes()) {
        properties.add(&readable(name), readable(value));
    }
    properties.finish()
}

/// A form as a value.
pub(crate) fn read_form(text: &[u8], encoding: &'static Encoding) -> Result<Json, FormFault> {
    let readable = |bytes: &[u8]| {
        let text = charset::decode(bytes, encoding).map_err(|_| FormFault::NotText)?;
        Ok(text.into_owned())
    };
    let mut properties = Properties::default();
    for (count, (name, value)) in pairs(text).enumerate() {
        if count >= MAX_FORM {
            return Err(FormFault::TooMany);
        }
        properties.add(&readable(&name)?, readable(&value)?);
    }
    Ok(properties.finish())
}

/// A value that grows property by property.
#[derive(Debug, Default)]
pub(crate) struct Properties(Map<String, Json>);

impl Properties {
    /// Puts a value where its name leads.
    pub(crate) fn add(&mut self, name: &str, value: String) {
        let path = path_of(name).unwrap_or_else(|| vec![name]);
        let mut root = Json::Object(std::mem::take(&mut self.0));
        let placed = place(&mut root, &path, Json::String(value));
        let Json::Object(map) = root else { return };
        self.0 = map;
        if let Err(value) = placed {
            add(self.0.entry(name).or_insert(Json::Null), value);
        }
    }

    /// The value that all of them make.
    pub(crate) fn finish(self) -> Json {
        finish(Json::Object(self.0))
    }
}

/// A value as the list of properties that [`read_query`] reads back (numbers and truth values as text).
pub(crate) fn write(value: &Json) -> String {
    let mut out = Vec::new();
    if let Json::Object(map) = value {
        for (name, value) in map {
            write_into(&mut out, name, value);
        }
    }
    out.join("&")
}

fn write_into(out: &mut Vec<String>, name: &str, value: &Json) {
    let leaf = match value {
        Json::Object(map) => {
            map.iter().for_each(|(key, value)| write_into(out, &format!("{name}[{key}]"), value));
            return;
        }
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let nested = item.is_object() || item.is_array();
                let key = if nested { index.to_string() } else { String::new() };
                write_into(out, &format!("{name}[{key}]"), item);
            }
            return;
        }
        Json::String(text) => Cow::Borrowed(text.as_str()),
        Json::Null => Cow::Borrowed(""),
        other => Cow::Owned(other.to_string()),
    };
    let escape = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    out.push(format!("{}={}", escape(name), escape(&leaf)));
}

/// Each name and its value, as sent.
fn raw_pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let name = halves.next().unwrap_or_default();
        (name, halves.next().unwrap_or_default())
    })
}

fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return Cow::Borrowed(text);
    }
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

/// `a[b][]` as `a`, `b` and an empty name.
fn path_of(name: &str) -> Option<Vec<&str>> {
    let (first, rest) = name.split_once('[')?;
    let inner = rest.strip_suffix(']')?;
    let path: Vec<&str> = std::iter::once(first).chain(inner.split("][")).collect();
    let sound =
        !first.is_empty() && path.len() <= MAX_DEPTH && path.iter().all(|part| !part.contains(['[', ']']));
    sound.then_some(path)
}

/// Puts a value at a path below `slot`, where null means vacant. Gives the value back when something else is in the
/// way; then nothing has changed.
fn place(slot: &mut Json, path: &[&str], value: Json) -> Result<(), Json> {
    let Some((name, rest)) = path.split_first() else {
        add(slot, value);
        return Ok(());
    };
    if name.is_empty() {
        match slot {
            Json::Null => *slot = Json::Array(Vec::new()),
            Json::String(_) => *slot = Json::Array(vec![slot.take()]),
            _ => {}
        }
        let Json::Array(items) = slot else { return Err(value) };
        let mut item = Json::Null;
        place(&mut item, rest, value)?;
        items.push(item);
        return Ok(());
    }
    if slot.is_null() {
        *slot = Json::Object(Map::new());
    }
    let Json::Object(map) = slot else { return Err(value) };
    place(map.entry(*name).or_insert(Json::Null), rest, value)
}

fn add(slot: &mut Json, value: Json) {
    match slot {
        Json::Null => *slot = value,
        Json::Array(items) => items.push(value),
        _ => *slot = Json::Array(vec![slot.take(), value]),
    }
}

/// Turns the maps below the root whose keys count from 0 into lists.
fn finish(root: Json) -> Json {
    let Json::Object(map) = root else { return root };
    map.into_iter().map(|(name, value)| (name, listed(value))).collect::<Map<_, _>>().into()
}

fn listed(value: Json) -> Json {
    match value {
        Json::Object(map) => {
            let counts = map.keys().enumerate().all(|(index, key)| *key == index.to_string());
            if counts {
                map.into_iter().map(|(_, value)| listed(value)).collect()
            } else {
                map.into_iter().map(|(name, value)| (name, listed(value))).collect::<Map<_, _>>().into()
            }
        }
        Json::Array(items) => items.into_iter().map(listed).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::UTF_8;
    use proptest::prelude::*;

    #[test]
    fn names_nest_and_repeats_are_lists() {
        for (text, expected) in [
            ("", "{}"),
            ("&&", "{}"),
            ("a", r#"{"a":""}"#),
            ("a=1&b=x+y%26%3D&c=10.00", r#"{"a":"1","b":"x y&=","c":"10.00"}"#),
            ("a=1&a=2&a=3", r#"{"a":["1","2","3"]}"#),
            ("a[]=1", r#"{"a":["1"]}"#),
            ("a%5B%5D=1&a[]=2", r#"{"a":["1","2"]}"#),
            ("a[b][c]=1&a[b][d]=2", r#"{"a":{"b":{"c":"1","d":"2"}}}"#),
            ("a[0][x]=1&a[1][x]=2", r#"{"a":[{"x":"1"},{"x":"2"}]}"#),
            ("a[1]=x", r#"{"a":{"1":"x"}}"#),
            ("0=x", r#"{"0":"x"}"#),
            ("a[][x]=1&a[][x]=2", r#"{"a":[{"x":"1"},{"x":"2"}]}"#),
            ("a=1&a[]=2", r#"{"a":["1","2"]}"#),
            ("a=1&a[b]=2", r#"{"a":"1","a[b]":"2"}"#),
            ("a[b]=1&a=2", r#"{"a":[{"b":"1"},"2"]}"#),
            ("a[b]=1&a[]=2", r#"{"a":{"b":"1"},"a[]":"2"}"#),
            ("a[b=1&]=2&[c]=3&a[b]c=4&a[[]]=5", r#"{"a[b":"1","]":"2","[c]":"3","a[b]c":"4","a[[]]":"5"}"#),
            ("a=%zz&b=%", r#"{"a":"%zz","b":"%"}"#),
            ("a=%00%0D%0A", r#"{"a":"\u0000\r\n"}"#),
        ] {
            assert_eq!(read_query(text).to_string(), expected, "{text}");
            assert_eq!(read_form(text.as_bytes(), UTF_8).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_utf8_is_refused_in_a_form_and_kept_in_a_query() {
        assert_eq!(read_form(b"a=%FF", UTF_8), Err(FormFault::NotText));
        assert_eq!(read_form(b"a=\xff", UTF_8), Err(FormFault::NotText));
        assert_eq!(read_query("a=%FF&%FE=b").to_string(), r#"{"a":"%FF","%FE":"b"}"#);
    }

    #[test]
    fn forms_have_bounds() {
        assert_eq!(read_form("a=1&".repeat(MAX_FORM + 1).as_bytes(), UTF_8), Err(FormFault::TooMany));
        let deep = format!("a{}=1", "[b]".repeat(MAX_DEPTH));
        let read = read_query(&deep);
        assert_eq!(read.as_object().unwrap().keys().next().unwrap().len(), deep.len() - 2);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let value: Json =
            serde_json::from_str(r#"{"a":"é &=","b":["1","2"],"c":{"d":[{"e":"x"},{"e":"y"}]},"f":"10.10"}"#)
                .unwrap();
        assert_eq!(read_query(&write(&value)), value);
        let numbers: Json = serde_json::from_str(r#"{"n":10.10,"t":true,"z":null}"#).unwrap();
        assert_eq!(write(&numbers), "n=10.10&t=true&z=");
    }

    #[test]
    fn a_name_is_taken_out_however_it_is_written() {
        assert_eq!(without("a=1&api%5Fkey=x&b=2&api_key=y&api_key", "api_key"), "a=1&b=2");
        assert_eq!(without("api_key=x", "api_key"), "");
    }

    proptest! {
        #[test]
        fn hostile_text_never_panics(text in "[ab0\\[\\]=&%+F é]{0,60}") {
            let query = read_query(&text);
            prop_assert!(query.is_object());
            if let Ok(form) = read_form(text.as_bytes(), UTF_8) {
                prop_assert_eq!(form, query);
            }
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(form) = read_form(&bytes, UTF_8) {
                prop_assert!(form.is_object());
            }
        }
    }
}
