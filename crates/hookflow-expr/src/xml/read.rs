//! From a document to a value, event by event.

use super::{MAX_ATTRIBUTES, MAX_DEPTH, MAX_NODES, MAX_TEXT, XmlFault, XmlShape, is_char, is_name};
use hookflow_text::Json;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::Map;

/// The value of an XML document: an object whose one key is the root element.
///
/// # Errors
/// When it is not well-formed, declares a document type, or is larger than its bounds.
pub fn read_xml(text: &str, shape: &XmlShape) -> Result<Json, XmlFault> {
    let forbidden = |(at, _)| malformed(text, at, "there is a character that XML does not allow");
    text.char_indices().find(|(_, sign)| !is_char(*sign)).map(forbidden).map_or(Ok(()), Err)?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    let mut builder = Builder { shape, open: Vec::new(), path: String::new(), nodes: 0, root: None };
    loop {
        let at = offset(reader.buffer_position());
        let event = reader
            .read_event()
            .map_err(|error| malformed(text, offset(reader.error_position()), &error.to_string()))?;
        if matches!(event, Event::Eof) {
            return builder.finish().map_err(|problem| problem.at(text, at));
        }
        builder.take(event, at == 0).map_err(|problem| problem.at(text, at))?;
    }
}

/// What is wrong, before it is said where.
enum Problem {
    Said(String),
    TooDeep,
}

impl Problem {
    fn at(self, text: &str, at: usize) -> XmlFault {
        match self {
            Self::Said(message) => malformed(text, at, &message),
            Self::TooDeep => XmlFault::TooDeep { limit: MAX_DEPTH },
        }
    }
}

impl From<&str> for Problem {
    fn from(message: &str) -> Self {
        Self::Said(message.to_owned())
    }
}

/// An element whose end has not come.
struct Open {
    name: String,
    /// How long the path was before it.
    path: usize,
    map: Map<String, Json>,
    text: String,
    /// White space that was written as CDATA is meant.
    has_cdata: bool,
}

struct Builder<'s> {
    shape: &'s XmlShape,
    open: Vec<Open>,
    /// The names of the open elements, joined by dots.
    path: String,
    nodes: usize,
    root: Option<Json>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, is_first: bool) -> Result<(), Problem> {
        match event {
            Event::Start(start) => self.begin(&start),
            Event::Empty(start) => {
                self.begin(&start)?;
                self.end();
                Ok(())
            }
            Event::End(_) => {
                self.end();
                Ok(())
            }
            Event::Text(text) => self.text(&text.xml10_content(), false),
            Event::CData(text) => self.text(&text.xml10_content(), true),
            Event::GeneralRef(reference) => {
                let mut bytes = [0; 4];
                self.text(resolve(&reference, &mut bytes)?, true)
            }
            Event::Decl(_) if !is_first => {
                Err("an XML declaration stands at the beginning or nowhere".into())
            }
            Event::DocType(_) => Err("a document type is not taken".into()),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) | Event::Eof => Ok(()),
        }
    }

    fn begin(&mut self, start: &BytesStart<'_>) -> Result<(), Problem> {
        let name = start.name().as_ref().to_owned();
        if !is_name(&name) {
            return Err("an element has a name that XML does not allow".into());
        }
        if self.root.is_some() {
            return Err("there is a second root element".into());
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(Problem::TooDeep);
        }
        self.count()?;
        let path = self.path.len();
        if !self.shape.lists.is_empty() {
            if path > 0 {
                self.path.push('.');
            }
            self.path.push_str(&name);
        }
        let mut map = Map::new();
        for (count, attribute) in start.attributes().enumerate() {
            if count >= MAX_ATTRIBUTES {
                return Err("an element has too many attributes".into());
            }
            self.count()?;
            let attribute = attribute.map_err(|error| Problem::Said(error.to_string()))?;
            let key = attribute.key.as_ref();
            if !is_name(key) || attribute.value.contains('<') {
                return Err("an element has an attribute that XML does not allow".into());
            }
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| Problem::Said(error.to_string()))?;
            if !value.chars().all(is_char) {
                return Err("a reference names a character that XML does not allow".into());
            }
            add(&mut map, format!("{}{key}", self.shape.attributes), Json::String(value.into_owned()), false);
        }
        self.open.push(Open { name, path, map, text: String::new(), has_cdata: false });
        Ok(())
    }

    /// The reader has made sure that names match.
    fn end(&mut self) {
        let Some(Open { name, path, mut map, text, has_cdata }) = self.open.pop() else { return };
        let is_list = self.shape.lists.contains(&self.path);
        self.path.truncate(path);
        let value = if map.is_empty() {
            Json::String(text)
        } else {
            if has_cdata || !text.trim_ascii().is_empty() {
                add(&mut map, self.shape.text.clone(), Json::String(text), false);
            }
            Json::Object(map)
        };
        if let Some(parent) = self.open.last_mut() {
            add(&mut parent.map, name, value, is_list);
        } else {
            self.root = Some(Json::Object(Map::from_iter([(name, value)])));
        }
    }

    fn text(&mut self, text: &str, is_meant: bool) -> Result<(), Problem> {
        let Some(open) = self.open.last_mut() else {
            let blank = !is_meant && text.trim_start_matches('\u{feff}').trim_ascii().is_empty();
            return if blank { Ok(()) } else { Err("there is text outside the root element".into()) };
        };
        if open.text.len() + text.len() > MAX_TEXT {
            return Err("an element has too much text".into());
        }
        open.text.push_str(text);
        open.has_cdata |= is_meant;
        Ok(())
    }

    fn count(&mut self) -> Result<(), Problem> {
        self.nodes += 1;
        if self.nodes > MAX_NODES { Err("there are too many elements and attributes".into()) } else { Ok(()) }
    }

    fn finish(self) -> Result<Json, Problem> {
        match (self.open.last(), self.root) {
            (Some(open), _) => {
                Err(Problem::Said(format!("the element `{}` is not closed", shown(&open.name))))
            }
            (None, Some(root)) => Ok(root),
            (None, None) => Err("there is no element".into()),
        }
    }
}

/// A second value makes a list of the first; none of the values is a list itself.
fn add(map: &mut Map<String, Json>, key: String, value: Json, is_list: bool) {
    match map.entry(key).or_insert(Json::Null) {
        Json::Array(items) => items.push(value),
        slot if slot.is_null() => *slot = if is_list { Json::Array(vec![value]) } else { value },
        slot => *slot = Json::Array(vec![slot.take(), value]),
    }
}

/// One of the five entities, or a character by its number.
fn resolve<'r>(reference: &BytesRef<'_>, bytes: &'r mut [u8; 4]) -> Result<&'r str, Problem> {
    match reference.resolve_char_ref() {
        Ok(Some(sign)) if is_char(sign) => Ok(sign.encode_utf8(bytes)),
        Ok(None) => resolve_predefined_entity(reference)
            .ok_or_else(|| Problem::Said(format!("there is no entity `{}`", shown(reference)))),
        Ok(Some(_)) | Err(_) => Err("a reference names a character that XML does not allow".into()),
    }
}

/// A caller's word in our sentence is kept short.
fn shown(word: &str) -> String {
    word.chars().take(40).collect()
}

fn malformed(text: &str, at: usize, message: &str) -> XmlFault {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    let mut lines = before.split(|byte| *byte == b'\n');
    let last = lines.next_back().unwrap_or_default();
    let message = message.chars().take(200).collect();
    XmlFault::Malformed { message, line: lines.count() + 1, column: last.len() + 1 }
}

/// A place in a text that is in memory.
fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
