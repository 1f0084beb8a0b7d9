//! A webhook's `expects:`: the data that a sender has promised, and where an event is not like that.
//!
//! What is told of a difference is where it is and what was expected there, both from the flow's own file: never what
//! came.

use super::foreseen::{Data, Shown};
use hookflow_text::{Code, Diagnostics, Fields, Json, Key, MapSchema, Node, NodeValue, Schema, nearest};
use hookflow_trigger::{Auth, Event};
use http::HeaderName;
use std::borrow::Cow;

/// How many differences are told of one event.
const MOST: usize = 20;
/// The words for what may stand in a place; a `?` behind one lets it be absent.
const WORDS: &[(&str, Kind)] = &[
    ("any", Kind::Any),
    ("array", Kind::Array),
    ("boolean", Kind::Boolean),
    ("integer", Kind::Integer),
    ("number", Kind::Number),
    ("object", Kind::Object),
    ("string", Kind::String),
];

/// The data that a webhook expects.
#[derive(Debug)]
pub struct Expects {
    /// Whether an event that is not like that is refused; else it is only counted.
    pub strict: bool,
    headers: Vec<HeaderName>,
    query: Vec<(String, Shape)>,
    body: Option<Shape>,
}

/// A place where an event is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// `body.items[0].sku`.
    pub at: String,
    /// `string`, `one of: web, app`.
    pub expected: String,
}

#[derive(Debug)]
enum Shape {
    Word { kind: Kind, optional: bool },
    Map(Vec<(String, Shape)>),
    List(Box<Shape>),
    OneOf(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Any,
    Array,
    Boolean,
    Integer,
    Number,
    Object,
    String,
}

pub(super) static EXPECTS: MapSchema = MapSchema {
    name: "expects",
    about: "The data that a webhook expects. What is not like it is counted, and refused when `strict`.",
    keys: Cow::Borrowed(&[
        Key::may("strict", Schema::Bool, "whether what is not like it is refused with 422 (false)"),
        Key::may("headers", Schema::List(&Schema::Like("")), "headers that have to be there"),
        Key::may(
            "query",
            Schema::MapOf(&QUERY),
            "fields of the query: a type, or a list of the values it may have",
        ),
        Key::may(
            "body",
            Schema::Shared("data", &SHAPE),
            "the body: a type, a map of fields, or a list with the shape of its items",
        ),
    ]),
    rules: &[],
};

/// A type, a map of such, or a list with one for its items.
static DATA: Schema = Schema::Shared("data", &SHAPE);
/// A type; with `?` the value may be absent.
const TYPE: Schema = Schema::Like("^(any|array|boolean|integer|number|object|string)[?]?$");
static SHAPE: Schema = Schema::AnyOf(&[TYPE, Schema::MapOf(&DATA), Schema::List(&DATA)]);
static QUERY: Schema = Schema::AnyOf(&[TYPE, Schema::MapOf(&DATA), Schema::List(&Schema::Text)]);

impl Expects {
    /// `auth`: what carries a credential is demanded already, and no event holds it.
    pub(super) fn load(node: &Node, auth: Option<&Auth>, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "an `expects`", diagnostics)?;
        let strict = fields.take("strict").and_then(|node| node.as_bool(diagnostics)).unwrap_or(false);
        let headers = fields.take("headers").and_then(|node| node.as_list(diagnostics)).unwrap_or_default();
        let headers = headers.iter().filter_map(|node| read_header(node, diagnostics));
        let headers = headers.filter(|name| !auth.is_some_and(|auth| auth.takes_header(name))).collect();
        let query = fields.take("query").and_then(|node| node.as_map(diagnostics)).unwrap_or_default();
        let query = query.iter().filter(|(key, _)| !auth.is_some_and(|auth| auth.takes_field(key.text())));
        let query = query.filter_map(|(key, node)| {
            let shape = match &node.value {
                NodeValue::Seq(values) => Shape::one_of(node, values, diagnostics),
                _ => Shape::load(node, diagnostics),
            };
            Some((key.text().to_owned(), shape?))
        });
        let query = query.collect();
        let body = fields.take("body").and_then(|node| Shape::load(node, diagnostics));
        fields.finish(diagnostics);
        Some(Self { strict, headers, query, body })
    }

    /// What it promises.
    pub(super) fn data(&self) -> Shown {
        let headers = self.headers.iter().map(|name| (name.as_str().to_owned(), Data::Any));
        let query = self.query.iter().map(|(name, shape)| (name.clone(), shape.data()));
        Shown {
            body: self.body.as_ref().map(Shape::data),
            query: (!self.query.is_empty()).then(|| Data::Map(query.collect())),
            headers: (!self.headers.is_empty()).then(|| Data::Map(headers.collect())),
        }
    }

    /// Where the event is not like that; at most twenty places.
    pub fn check(&self, event: &Event) -> Vec<Mismatch> {
        let mut found = Found { mismatches: Vec::new(), typed: false };
        for name in &self.headers {
            if !event.head().headers.contains_key(name) {
                found.add(format!("headers.{name}"), "a value".into());
            }
        }
        for (name, shape) in &self.query {
            shape.check(event.query().get(name), &format!("query.{name}"), &mut found);
        }
        if let Some(shape) = &self.body {
            found.typed = event.has_types();
            shape.check(Some(&**event.body()), "body", &mut found);
        }
        found.mismatches
    }
}

struct Found {
    mismatches: Vec<Mismatch>,
    /// Whether the values have types of their own; a form's and a query's are all text.
    typed: bool,
}

impl Found {
    fn add(&mut self, at: String, expected: String) {
        if !self.is_full() {
            self.mismatches.push(Mismatch { at, expected });
        }
    }

    fn is_full(&self) -> bool {
        self.mismatches.len() >= MOST
    }
}

impl Shape {
    fn load(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        match &node.value {
            NodeValue::Scalar(_) => Self::word(node, diagnostics),
            NodeValue::Map(entries) => {
                let shapes: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| Some((key.text().to_owned(), Self::load(value, diagnostics)?)))
                    .collect();
                shapes.into_iter().collect::<Option<_>>().map(Self::Map)
            }
            NodeValue::Seq(items) => {
                if let [item] = items.as_slice() {
                    return Self::load(item, diagnostics).map(|shape| Self::List(Box::new(shape)));
                }
                diagnostics
                    .error(Code("webhook.expects"), &node.span, "a list has one shape for all its items")
                    .help("write `[string]`, or `array` when the items may be anything");
                None
            }
        }
    }

    fn word(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let text = node.as_str(diagnostics)?;
        let (word, optional) = text.strip_suffix('?').map_or((text, false), |word| (word, true));
        if let Some((_, kind)) = WORDS.iter().find(|(name, _)| *name == word) {
            return Some(Self::Word { kind: *kind, optional });
        }
        let names = || WORDS.iter().map(|(name, _)| *name);
        let message = format!("`{text}` is no type of a value");
        let diagnostic = diagnostics.error(Code("webhook.expects"), &node.span, message);
        match nearest(word, names()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help(format!(
                "types: {}; with `?` it may be absent",
                names().collect::<Vec<_>>().join(", ")
            )),
        };
        None
    }

    /// The values that a field of the query may have.
    fn one_of(node: &Node, values: &[Node], diagnostics: &mut Diagnostics) -> Option<Self> {
        if values.is_empty() {
            diagnostics.error(Code("webhook.expects"), &node.span, "no value is allowed by an empty list");
            return None;
        }
        let values: Vec<_> = values
            .iter()
            .map(|value| match &value.value {
                // As it is written: `01` and `1.0` are texts in a query.
                NodeValue::Scalar(_) if !value.is_null() => Some(value.text().to_owned()),
                _ => value.mistyped("a value", diagnostics),
            })
            .collect();
        values.into_iter().collect::<Option<_>>().map(Self::OneOf)
    }

    fn data(&self) -> Data {
        match self {
            Self::Word { kind, .. } => match kind {
                Kind::Any | Kind::Object => Data::Any,
                Kind::Array => Data::List(Box::default()),
                Kind::Boolean => Data::Plain("true or false"),
                Kind::Integer | Kind::Number => Data::Plain("a number"),
                Kind::String => Data::Plain("text"),
            },
            Self::Map(shapes) => {
                Data::Map(shapes.iter().map(|(key, shape)| (key.clone(), shape.data())).collect())
            }
            Self::List(shape) => Data::List(Box::new(shape.data())),
            Self::OneOf(_) => Data::Plain("text"),
        }
    }

    fn check(&self, value: Option<&Json>, at: &str, found: &mut Found) {
        let value = value.filter(|value| !value.is_null());
        let holds = match (self, value) {
            (Self::Word { optional: true, .. }, None) => true,
            (Self::Word { kind, .. }, value) => value.is_some_and(|value| kind.suits(value, found.typed)),
            (Self::OneOf(words), value) => {
                value.and_then(Json::as_str).is_some_and(|value| words.iter().any(|word| word == value))
            }
            (Self::Map(shapes), Some(Json::Object(map))) => {
                for (key, shape) in shapes {
                    shape.check(map.get(key), &format!("{at}.{key}"), found);
                }
                true
            }
            (Self::List(shape), Some(Json::Array(items))) => {
                for (index, item) in items.iter().enumerate() {
                    if found.is_full() {
                        break;
                    }
                    shape.check(Some(item), &format!("{at}[{index}]"), found);
                }
                true
            }
            (Self::Map(_) | Self::List(_), _) => false,
        };
        if !holds {
            found.add(at.to_owned(), self.to_words());
        }
    }

    fn to_words(&self) -> String {
        match self {
            Self::Word { kind, .. } => {
                let word = WORDS.iter().find(|(_, other)| other == kind).map_or("", |(name, _)| name);
                if *kind == Kind::Any { "a value".into() } else { word.into() }
            }
            Self::Map(_) => "object".into(),
            Self::List(_) => "array".into(),
            Self::OneOf(values) => format!("one of: {}", values.join(", ")),
        }
    }
}

impl Kind {
    fn suits(self, value: &Json, typed: bool) -> bool {
        match (self, value) {
            (Self::Any, _)
            | (Self::Array, Json::Array(_))
            | (Self::Boolean, Json::Bool(_))
            | (Self::Number, Json::Number(_))
            | (Self::Object, Json::Object(_))
            | (Self::String, Json::String(_)) => true,
            // The number as it was written, however long: `10.0` is a number that somebody wrote with a fraction.
            (Self::Integer, Json::Number(number)) => is_integer(&number.to_string()),
            (Self::Integer, Json::String(text)) => !typed && is_integer(text),
            (Self::Number, Json::String(text)) => !typed && is_number(text),
            (Self::Boolean, Json::String(text)) => !typed && matches!(text.as_str(), "true" | "false"),
            _ => false,
        }
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_number(text: &str) -> bool {
    let starts = text.strip_prefix('-').unwrap_or(text).starts_with(|c: char| c.is_ascii_digit());
    starts && text.parse::<f64>().is_ok_and(f64::is_finite)
}

fn read_header(node: &Node, diagnostics: &mut Diagnostics) -> Option<HeaderName> {
    let text = node.as_str(diagnostics)?;
    let name = HeaderName::try_from(text).ok();
    if name.is_none() {
        diagnostics.error(Code("webhook.expects"), &node.span, format!("`{text}` cannot be a header's name"));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use hookflow_text::{Source, parse};
    use hookflow_trigger::{BodySpec, Params, Route, Sample, SampleBody};
    use serde_json::json;

    fn load(yaml: &str) -> (Option<Expects>, Vec<&'static str>) {
        let mut diagnostics = Diagnostics::default();
        let node = parse(&Source::new("a.yaml", yaml), &mut diagnostics).unwrap();
        (Expects::load(&node, None, &mut diagnostics), diagnostics.codes())
    }

    fn event(media_type: &'static str, query: Json, body: &str) -> Event {
        let mut sample =
            Sample { query, body: SampleBody::Bytes(Bytes::from(body.to_owned())), ..Sample::default() };
        sample.headers.insert("content-type", media_type.parse().unwrap());
        let route =
            Route { flow: "f".into(), suffix: String::new(), params: Params::default(), system: None };
        let at = "2026-11-20T12:00:00Z".parse().unwrap();
        Event::of_sample(sample, &BodySpec::auto(1 << 20), route, "e", at, "https://hooks.example".into())
            .unwrap()
    }

    fn wrong(expects: &str, event: &Event) -> Vec<String> {
        let (expects, codes) = load(expects);
        assert!(codes.is_empty(), "{codes:?}");
        let found = expects.unwrap().check(event);
        found.into_iter().map(|Mismatch { at, expected }| format!("{at}: {expected}")).collect()
    }

    #[test]
    fn where_an_event_is_not_as_expected() {
        const JSON: &str = "application/json";
        let shape = "body: {id: string, amount: number, items: [{sku: string, n: integer?}]}";
        let cases: &[(&str, &str, &[&str])] = &[
            (
                shape,
                r#"{"id": "A", "amount": 1.5, "items": [{"sku": "X", "n": 1}, {"sku": "Y"}], "more": 1}"#,
                &[],
            ),
            (shape, r#"{"id": "A", "amount": 12345678901234567890123.5, "items": []}"#, &[]),
            (
                shape,
                r#"{"id": 7, "items": [{"sku": null, "n": 1.0}, 3]}"#,
                &[
                    "body.id: string",
                    "body.amount: number",
                    "body.items[0].sku: string",
                    "body.items[0].n: integer",
                    "body.items[1]: object",
                ],
            ),
            (shape, "[]", &["body: object"]),
            (
                shape,
                r#"{"id": "A", "amount": "1", "items": {}}"#,
                &["body.amount: number", "body.items: array"],
            ),
            ("body: array", "{}", &["body: array"]),
            (
                "body: {a: any, b: any?, c: object, d: boolean}",
                r#"{"a": null, "c": {}, "d": "true"}"#,
                &["body.a: a value", "body.d: boolean"],
            ),
            ("body: [integer]", "[1, -2, 123456789012345678901234567890, 1e3]", &["body[3]: integer"]),
            ("headers: [Content-Type, X-Shop]", "{}", &["headers.x-shop: a value"]),
        ];
        for (expects, body, expected) in cases {
            assert_eq!(wrong(expects, &event(JSON, Json::Null, body)), *expected, "{expects} {body}");
        }
        let many = format!("[{}]", vec!["\"x\""; 1_000].join(","));
        assert_eq!(wrong("body: [integer]", &event(JSON, Json::Null, &many)).len(), MOST);
    }

    #[test]
    fn in_queries_and_forms_numbers_are_written_as_text() {
        const FORM: &str = "application/x-www-form-urlencoded";
        let expects = "query: {page: integer?, source: [web, app], v: [1.0]}\nbody: {n: number, b: boolean, i: integer}";
        let right = event(FORM, json!({"page": "3", "source": "app", "v": "1.0"}), "n=1.5&b=true&i=-7");
        assert!(wrong(expects, &right).is_empty());
        let bad = event(FORM, json!({"page": "x", "source": "tv", "v": "1"}), "n=inf&b=yes&i=1.0");
        let found = wrong(expects, &bad);
        let expected = [
            "query.page: integer",
            "query.source: one of: web, app",
            "query.v: one of: 1.0",
            "body.n: number",
            "body.b: boolean",
            "body.i: integer",
        ];
        assert_eq!(found, expected);
        let twice = event(FORM, json!({"source": ["web", "app"], "v": "1.0"}), "n=1&b=true&i=1");
        assert_eq!(wrong(expects, &twice), ["query.source: one of: web, app"]);
    }

    #[test]
    fn mistakes_are_told_with_the_nearest_word() {
        for (yaml, code) in [
            ("body: {id: sting}", "webhook.expects"),
            ("body: [string, number]", "webhook.expects"),
            ("body: []", "webhook.expects"),
            ("query: {a: []}", "webhook.expects"),
            ("query: {a: [{b: c}]}", "yaml.type"),
            ("headers: ['a b']", "webhook.expects"),
            ("headers: a", "yaml.type"),
            ("strict: maybe", "yaml.type"),
            ("cookies: []", "yaml.unknown-key"),
        ] {
            assert_eq!(load(yaml).1, [code], "{yaml}");
        }
    }
}
