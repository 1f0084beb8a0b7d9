//! What is known of an event before one comes: what `expects` promises and the `sample` shows. Expressions that read
//! anything else are warned of.

use super::{Expects, Sample};
use hookflow_expr::Unknown;
use hookflow_text::{Code, Json, Severity, nearest};
use hookflow_trigger::{BodySpec, Event, Params, Route, SampleBody};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// How many names a message lists.
const LISTED: usize = 12;
/// Headers that come with requests of any sender, and what proxies add.
const STANDARD_HEADERS: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "forwarded",
    "from",
    "host",
    "origin",
    "referer",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

/// What is known of a webhook's events.
#[derive(Debug, Clone, Default)]
pub(crate) struct Foreseen {
    body: Data,
    query: Data,
    headers: Data,
    /// Who says so, for messages.
    says: &'static str,
}

/// What is known of a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Data {
    /// Nothing.
    #[default]
    Any,
    /// It holds no others: text, a number, true or false.
    Plain(&'static str),
    List(Box<Data>),
    /// These fields and no others.
    Map(BTreeMap<String, Data>),
}

impl Foreseen {
    pub(super) fn of(expects: Option<&Expects>, sample: Option<&Sample>, body: Option<&BodySpec>) -> Self {
        let promised = expects.map(Expects::data).unwrap_or_default();
        let shown = sample.zip(body).map(|(sample, body)| Shown::of(sample, body)).unwrap_or_default();
        let headers = merged(promised.headers, shown.headers);
        let headers = headers.map(|headers| {
            let standard = STANDARD_HEADERS.iter().map(|name| ((*name).to_owned(), Data::Any)).collect();
            Data::Map(standard).and(headers)
        });
        Self {
            body: merged(promised.body, shown.body).unwrap_or_default(),
            query: merged(promised.query, shown.query).unwrap_or_default(),
            headers: headers.unwrap_or_default(),
            says: match (expects, sample) {
                (Some(_), Some(_)) => "neither `expects` nor the `sample` has",
                (Some(_), None) => "`expects` does not have",
                _ => "the `sample` does not have",
            },
        }
    }

    /// Whether `webhook.…` can be expected to be there.
    pub(crate) fn check(&self, path: &[&str]) -> Result<(), Unknown> {
        let Some((root, rest)) = path.split_first() else { return Ok(()) };
        match *root {
            "body" => self.find(&self.body, "webhook.body", rest),
            "query" => self.find(&self.query, "webhook.query", rest),
            // They are found whatever their case.
            "headers" => {
                let name = rest.first().map(|name| name.to_ascii_lowercase());
                let rest: Vec<_> = name.iter().map(String::as_str).collect();
                self.find(&self.headers, "webhook.headers", &rest)
            }
            _ => Ok(&Data::Any),
        }
        .map(drop)
    }

    /// Whether the rest of a path can be expected within what is known of an item.
    pub(crate) fn check_item(&self, item: &str, data: &Data, rest: &[&str]) -> Result<(), Unknown> {
        self.find(data, item, rest).map(drop)
    }

    /// What is known of the items of the list that a path leads to.
    pub(crate) fn items(&self, path: &[&str]) -> Data {
        let found = match path.split_first() {
            Some((&"body", rest)) => self.find(&self.body, "", rest),
            Some((&"query", rest)) => self.find(&self.query, "", rest),
            _ => return Data::Any,
        };
        found.map(Data::items).unwrap_or_default()
    }

    /// The same for a path within what is known of an item.
    pub(crate) fn items_within(&self, data: &Data, rest: &[&str]) -> Data {
        self.find(data, "", rest).map(Data::items).unwrap_or_default()
    }

    /// What is known of what a path leads to within `data`.
    fn find<'d>(&self, data: &'d Data, root: &str, rest: &[&str]) -> Result<&'d Data, Unknown> {
        let (mut here, mut label) = (data, root.to_owned());
        for part in rest {
            let parent = label.clone();
            label = if part.parse::<i64>().is_ok() {
                format!("{label}[{part}]")
            } else if part.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                format!("{label}[\"{part}\"]")
            } else {
                format!("{label}.{part}")
            };
            here = match here {
                Data::Any => return Ok(here),
                Data::List(item) if part.parse::<i64>().is_ok() => item,
                Data::Map(fields) => match fields.get(*part) {
                    Some(next) => next,
                    None => return Err(self.not_among(&label, &parent, part, fields)),
                },
                Data::List(_) => {
                    let help = Some(format!("it is a list; its first item is `{parent}[0]`"));
                    return Err(self.unknown(&label, help));
                }
                Data::Plain(kind) => {
                    return Err(self.unknown(&label, Some(format!("`{parent}` is {kind}"))));
                }
            };
        }
        Ok(here)
    }

    fn not_among(&self, label: &str, parent: &str, part: &str, fields: &BTreeMap<String, Data>) -> Unknown {
        let near = nearest(part, fields.keys().map(String::as_str));
        let own: Vec<_> =
            fields.keys().map(String::as_str).filter(|name| !STANDARD_HEADERS.contains(name)).collect();
        let help = match near {
            Some(near) if near.contains('-') => format!("did you mean `{parent}[\"{near}\"]`?"),
            Some(near) => format!("did you mean `{parent}.{near}`?"),
            None if own.is_empty() || own.len() > LISTED => "what may come stands in `expects`".into(),
            None => format!("it has: {}; what else may come stands in `expects`", own.join(", ")),
        };
        self.unknown(label, Some(help))
    }

    fn unknown(&self, label: &str, help: Option<String>) -> Unknown {
        let message = format!("{} `{label}`", self.says);
        Unknown { code: Code("webhook.unknown-field"), severity: Severity::Warning, message, help }
    }
}

/// What one source tells of body, query and headers; `None` where it tells nothing.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) body: Option<Data>,
    pub(super) query: Option<Data>,
    pub(super) headers: Option<Data>,
}

impl Shown {
    /// What the sample's event holds, once its body has been read as a sent one would be.
    fn of(sample: &Sample, body: &BodySpec) -> Self {
        let request = &sample.request;
        let route = Route { flow: "".into(), suffix: String::new(), params: Params::default(), system: None };
        let event = Event::of_sample(
            request.clone(),
            body,
            route,
            "",
            Timestamp::UNIX_EPOCH,
            "https://localhost".into(),
        );
        let headers = request.headers.keys().map(|name| (name.as_str().to_owned(), Data::Any));
        Self {
            body: event
                .ok()
                .filter(|_| !matches!(request.body, SampleBody::Empty))
                .map(|event| Data::of(event.body())),
            query: (!request.query.is_null()).then(|| Data::of(&request.query)),
            headers: (!request.headers.is_empty()).then(|| Data::Map(headers.collect())),
        }
    }
}

fn merged(one: Option<Data>, other: Option<Data>) -> Option<Data> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.and(other)),
        (one, other) => one.or(other),
    }
}

impl Data {
    /// What a value shows. An empty list and null may be anything.
    pub(super) fn of(value: &Json) -> Self {
        match value {
            Json::Null => Self::Any,
            Json::Bool(_) => Self::Plain("true or false"),
            Json::Number(_) => Self::Plain("a number"),
            Json::String(_) => Self::Plain("text"),
            Json::Array(items) => {
                let item = items.iter().map(Self::of).reduce(Self::and);
                Self::List(Box::new(item.unwrap_or_default()))
            }
            Json::Object(map) => {
                Self::Map(map.iter().map(|(key, value)| (key.clone(), Self::of(value))).collect())
            }
        }
    }

    /// What is known when both are right.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Map(mut one), Self::Map(other)) => {
                for (key, value) in other {
                    let known = match one.remove(&key) {
                        Some(known) => known.and(value),
                        None => value,
                    };
                    one.insert(key, known);
                }
                Self::Map(one)
            }
            (Self::List(one), Self::List(other)) => Self::List(Box::new(one.and(*other))),
            (one, other) if one == other => one,
            _ => Self::Any,
        }
    }

    fn items(&self) -> Self {
        match self {
            Self::List(item) => (**item).clone(),
            _ => Self::Any,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::proof::load;

    const SAMPLE: &str = "sample: {headers: {X-Event: paid}, query: {page: '1'}, body: {id: A-1, more: null, none: [], items: [{sku: a}, {qty: 1}]}}";

    fn warnings(webhook: &str, expression: &str) -> Vec<&'static str> {
        let text =
            format!("webhook: {{auth: none, {webhook}}}\nsteps:\n  - log: |-\n      ${{ {expression} }}\n");
        let (flow, diagnostics) = load(&text);
        assert!(flow.is_some(), "{}", diagnostics.render(false));
        diagnostics.codes()
    }

    #[test]
    fn what_is_known_is_not_warned_of() {
        for (webhook, expression) in [
            (
                "methods: [POST]",
                "webhook.body.anything.at.all ~ webhook.headers['x-any'] ~ webhook.query.any",
            ),
            (SAMPLE, "webhook.body.id ~ webhook.body['id'] ~ webhook.body"),
            (SAMPLE, "webhook.body.items[0].sku ~ webhook.body.items[9].qty ~ webhook.body.items[-1].sku"),
            (SAMPLE, "webhook.body.more.of[0].this ~ webhook.body.none[0].that"),
            (
                SAMPLE,
                "webhook.headers['X-Event'] ~ webhook.headers['x-event'] ~ webhook.headers['user-agent']",
            ),
            (SAMPLE, "webhook.query.page ~ webhook.raw ~ webhook.files[0].name ~ webhook.id"),
            (
                "expects: {headers: [X-Shop]}",
                "webhook.body.id ~ webhook.query.page ~ webhook.headers['x-shop']",
            ),
            (
                "expects: {body: {a: any, b: object, c: array, d: string?}}",
                "webhook.body.a.b ~ webhook.body.b.c ~ webhook.body.c[0].d ~ webhook.body.d",
            ),
            ("expects: {body: {n: string?}}, sample: {body: {id: 1}}", "webhook.body.id ~ webhook.body.n"),
            // A number of the path is worked out when it runs.
            (SAMPLE, "webhook.body.items[loop_index | default(0)].sku"),
        ] {
            let expression = expression.replace("loop_index", "webhook.body.id");
            assert!(warnings(webhook, &expression).is_empty(), "{webhook} {expression}");
        }
    }

    #[test]
    fn what_is_not_known_is_warned_of_once_and_stops_nothing() {
        for (webhook, expression) in [
            (SAMPLE, "webhook.body.idd"),
            (SAMPLE, "webhook.body.id.part"),
            (SAMPLE, "webhook.body.items.sku"),
            (SAMPLE, "webhook.body.items[0].name"),
            (SAMPLE, "webhook.body.note | default('none')"),
            (SAMPLE, "webhook.headers['x-evnt']"),
            (SAMPLE, "webhook.query.pgae"),
            ("expects: {body: {id: string}}", "webhook.body.total"),
            ("expects: {query: {page: integer}}", "webhook.query.size"),
            ("expects: {body: [{sku: string}]}", "webhook.body[0].skuu"),
        ] {
            assert_eq!(warnings(webhook, expression), ["webhook.unknown-field"], "{webhook} {expression}");
        }
    }
}
