//! What has to come of a test's request. Only what is written is looked at.

use super::known_step;
use crate::step_kinds::fail::{KINDS, read_kind};
use crate::step_kinds::log::LEVELS;
use crate::written::HEADERS;
use crate::{FaultKind, Plan};
use hookflow_text::{
    Code, Diagnostics, Fields, Json, Key, MapSchema, Node, NodeValue, Schema, parse_duration,
};
use http::HeaderName;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

pub(super) static EXPECT: MapSchema = MapSchema {
    name: "expect",
    about: "What has to come of a test's request. Only what is written is looked at.",
    keys: Cow::Borrowed(&[
        Key::may("status", Schema::Integer(100, 599), "the answer's status"),
        Key::may("headers", HEADERS, "the answer's headers; null: it has none of the name"),
        Key::may("json", Schema::Any, "the answer's body, as a value"),
        Key::may("json_contains", Schema::Any, "what the answer's body holds, as a value"),
        Key::may("text", Schema::Text, "the answer's body, as text"),
        Key::may("outcome", Schema::Word(OUTCOMES), "how the run ends"),
        Key::may("error", Schema::Map(&ERROR), "how the run fails"),
        Key::may("value", Schema::Any, "the value that the run ends with"),
        Key::may("calls", Schema::MapOf(&CALLS), "by step: how many calls there are, or a list of them"),
        Key::may("ran", Schema::List(&Schema::Text), "steps that ran"),
        Key::may("not_ran", Schema::List(&Schema::Text), "steps that did not run"),
        Key::may("values", Schema::ANY_MAP, "the results of steps"),
        Key::may("logs", Schema::List(&LOG), "all lines of the log"),
        Key::may("emits", Schema::List(&EMIT), "all events that are sent"),
        Key::may(
            "took",
            Schema::Like("^ *(<=|>=|=)? *[0-9]+(ms|s|m|h|d) *$"),
            "how long the run takes, such as `5m` or `<= 5m`",
        ),
    ]),
    rules: &[],
};

/// How a run may end.
const OUTCOMES: &[&str] = &["failed", "succeeded"];

static ERROR: MapSchema = MapSchema {
    name: "expected-error",
    about: "How a run fails.",
    keys: Cow::Borrowed(&[
        Key::may("kind", Schema::Word(KINDS), "its kind"),
        Key::may("step", Schema::Text, "the step that failed"),
        Key::may("code", Schema::Text, "its code"),
        Key::may("message", Schema::Text, "its message"),
    ]),
    rules: &[],
};

static CALLS: Schema = Schema::AnyOf(&[Schema::Integer(0, 10_000), Schema::List(&Schema::Map(&CALL))]);

static CALL: MapSchema = MapSchema {
    name: "expected-call",
    about: "A call as it leaves.",
    keys: Cow::Borrowed(&[
        Key::may("method", Schema::Text, "its method"),
        Key::may("url", Schema::Text, "the whole URL"),
        Key::may("headers", HEADERS, "its headers; null: it has none of the name"),
        Key::may("json", Schema::Any, "its body, as a value"),
        Key::may("json_contains", Schema::Any, "what is in its body, beside whatever else is"),
        Key::may("text", Schema::Text, "its body, as text"),
        Key::may("parts", Schema::Any, "what is looked at of each part of its body"),
    ]),
    rules: &[],
};

static LOG: Schema = Schema::AnyOf(&[
    Schema::Text,
    Schema::Map(&MapSchema {
        name: "expected-line",
        about: "A line of the log.",
        keys: Cow::Borrowed(&[
            Key::must("text", Schema::Text, "its text"),
            Key::may("level", Schema::Word(LEVELS), "its level"),
            Key::may("fields", Schema::Any, "its fields"),
        ]),
        rules: &[],
    }),
]);

static EMIT: Schema = Schema::AnyOf(&[
    Schema::Text,
    Schema::Map(&MapSchema {
        name: "expected-event",
        about: "An event that a flow sends.",
        keys: Cow::Borrowed(&[
            Key::must("event", Schema::Text, "its name"),
            Key::may("data", Schema::Any, "its data"),
        ]),
        rules: &[],
    }),
]);

/// What has to come of a test's request.
#[derive(Debug, Default)]
pub struct Expect {
    /// The answer's status.
    pub status: Option<u16>,
    /// The answer's headers; `None`: it has none of the name.
    pub headers: Vec<(HeaderName, Option<String>)>,
    /// The answer's body, as JSON.
    pub json: Option<Json>,
    /// What the answer's body holds, as JSON.
    pub json_contains: Option<Json>,
    /// The answer's body, as text.
    pub text: Option<String>,
    /// Whether the run succeeds.
    pub succeeds: Option<bool>,
    /// How the run fails.
    pub error: Option<ExpectedError>,
    /// The value that the run ends with.
    pub value: Option<Json>,
    /// The calls of steps.
    pub calls: Vec<(Arc<str>, ExpectedCalls)>,
    /// Steps that ran.
    pub ran: Vec<Arc<str>>,
    /// Steps that did not.
    pub not_ran: Vec<Arc<str>>,
    /// Steps' values.
    pub values: Vec<(Arc<str>, Json)>,
    /// All lines of the log.
    pub logs: Option<Vec<ExpectedLog>>,
    /// All events that were sent.
    pub emits: Option<Vec<ExpectedEmit>>,
    /// How long the run takes.
    pub took: Option<Took>,
}

/// How a run fails.
#[derive(Debug, Default)]
pub struct ExpectedError {
    /// Of which kind.
    pub kind: Option<FaultKind>,
    /// At which step.
    pub step: Option<Arc<str>>,
    /// With which code.
    pub code: Option<String>,
    /// With which message.
    pub message: Option<String>,
}

/// The calls of a step.
#[derive(Debug)]
pub enum ExpectedCalls {
    /// So many.
    Count(u64),
    /// These, in this order.
    Each(Vec<ExpectedCall>),
}

/// A call as it leaves.
#[derive(Debug, Default)]
pub struct ExpectedCall {
    /// Its method.
    pub method: Option<String>,
    /// The whole URL.
    pub url: Option<String>,
    /// Its headers; `None`: it has none of the name.
    pub headers: Vec<(HeaderName, Option<String>)>,
    /// Its body, as JSON.
    pub json: Option<Json>,
    /// Its body, as JSON whose objects may have more keys.
    pub json_contains: Option<Json>,
    /// Its body, as text.
    pub text: Option<String>,
    /// What is looked at of each of its body's parts.
    pub parts: Option<Json>,
}

/// A line of the log.
#[derive(Debug)]
pub struct ExpectedLog {
    /// Its text.
    pub text: String,
    /// Its level, by name.
    pub level: Option<&'static str>,
    /// Its fields.
    pub fields: Option<Json>,
}

/// An event that a flow sends.
#[derive(Debug)]
pub struct ExpectedEmit {
    /// Its name.
    pub event: String,
    /// Its data.
    pub data: Option<Json>,
}

/// How long a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Took {
    /// `<=`, `>=` or `=`.
    pub by: &'static str,
    /// What it is compared with.
    pub limit: Duration,
}

impl Took {
    /// Whether a time is like that.
    pub fn allows(&self, took: Duration) -> bool {
        match self.by {
            "<=" => took <= self.limit,
            ">=" => took >= self.limit,
            _ => took == self.limit,
        }
    }
}

impl Expect {
    pub(super) fn load(node: &Node, plan: &Plan, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "an expectation", diagnostics)?;
        if matches!(&node.value, NodeValue::Map(entries) if entries.is_empty()) {
            diagnostics
                .error(Code("test.expect"), &node.span, "this test expects nothing, so it could not fail")
                .help("for example `expect: {status: 200}`");
        }
        let steps = |node: Option<&Node>, diagnostics: &mut Diagnostics| -> Vec<Arc<str>> {
            let items = node.and_then(|node| node.as_list(diagnostics)).unwrap_or_default();
            items.iter().filter_map(|item| step(item, plan, diagnostics)).collect()
        };
        let expect = Self {
            status: read_status(fields.take("status"), diagnostics),
            headers: read_headers(fields.take("headers"), diagnostics),
            json: fields.take("json").map(|node| node.to_json(diagnostics)),
            json_contains: fields.take("json_contains").map(|node| node.to_json(diagnostics)),
            text: read_text(fields.take("text"), diagnostics),
            succeeds: fields
                .take("outcome")
                .and_then(|node| node.one_of(OUTCOMES, diagnostics).map(|word| word == "succeeded")),
            error: fields.take("error").and_then(|node| ExpectedError::load(node, plan, diagnostics)),
            value: fields.take("value").map(|node| node.to_json(diagnostics)),
            calls: read_calls(fields.take("calls"), plan, diagnostics),
            ran: steps(fields.take("ran"), diagnostics),
            not_ran: steps(fields.take("not_ran"), diagnostics),
            values: read_values(fields.take("values"), plan, diagnostics),
            logs: fields.take("logs").map(|node| read_list(node, ExpectedLog::load, diagnostics)),
            emits: fields.take("emits").map(|node| read_list(node, ExpectedEmit::load, diagnostics)),
            took: fields.take("took").and_then(|node| read_took(node, diagnostics)),
        };
        fields.finish(diagnostics);
        Some(expect)
    }
}

/// The name of a step that there is.
fn step(node: &Node, plan: &Plan, diagnostics: &mut Diagnostics) -> Option<Arc<str>> {
    known_step(node, plan, diagnostics).map(|_| node.text().into())
}

fn read_status(node: Option<&Node>, diagnostics: &mut Diagnostics) -> Option<u16> {
    u16::try_from(node?.as_integer(100, 599, diagnostics)?).ok()
}

fn read_text(node: Option<&Node>, diagnostics: &mut Diagnostics) -> Option<String> {
    node?.as_str(diagnostics).map(str::to_owned)
}

fn read_headers(node: Option<&Node>, diagnostics: &mut Diagnostics) -> Vec<(HeaderName, Option<String>)> {
    let entries = node.and_then(|node| node.as_map(diagnostics)).unwrap_or_default();
    let read = |(key, value): &(Node, Node)| {
        let Ok(name) = HeaderName::from_bytes(key.text().as_bytes()) else {
            return key.mistyped("a header's name", diagnostics);
        };
        let value = if value.is_null() { None } else { Some(value.as_str(diagnostics)?.to_owned()) };
        Some((name, value))
    };
    entries.iter().filter_map(read).collect()
}

fn read_list<T>(
    node: &Node,
    load: fn(&Node, &mut Diagnostics) -> Option<T>,
    diagnostics: &mut Diagnostics,
) -> Vec<T> {
    let items = node.as_list(diagnostics).unwrap_or_default();
    items.iter().filter_map(|item| load(item, diagnostics)).collect()
}

fn read_calls(
    node: Option<&Node>,
    plan: &Plan,
    diagnostics: &mut Diagnostics,
) -> Vec<(Arc<str>, ExpectedCalls)> {
    let entries = node.and_then(|node| node.as_map(diagnostics)).unwrap_or_default();
    let read = |(key, value): &(Node, Node)| {
        let step = if key.text().contains('/') { key.text().into() } else { step(key, plan, diagnostics)? };
        let calls = match &value.value {
            NodeValue::Seq(_) => ExpectedCalls::Each(read_list(value, ExpectedCall::load, diagnostics)),
            _ => ExpectedCalls::Count(value.as_integer(0, 10_000, diagnostics)?),
        };
        Some((step, calls))
    };
    entries.iter().filter_map(read).collect()
}

fn read_values(node: Option<&Node>, plan: &Plan, diagnostics: &mut Diagnostics) -> Vec<(Arc<str>, Json)> {
    let entries = node.and_then(|node| node.as_map(diagnostics)).unwrap_or_default();
    let read =
        |(key, value): &(Node, Node)| Some((step(key, plan, diagnostics)?, value.to_json(diagnostics)));
    entries.iter().filter_map(read).collect()
}

fn read_took(node: &Node, diagnostics: &mut Diagnostics) -> Option<Took> {
    let text = node.as_str(diagnostics)?.trim();
    let (by, rest) = ["<=", ">=", "="]
        .into_iter()
        .find_map(|by| Some((by, text.strip_prefix(by)?)))
        .unwrap_or(("=", text));
    match parse_duration(rest.trim()) {
        Ok(limit) => Some(Took { by, limit }),
        Err(_) => node.mistyped("a time such as `5m`, `<= 5m` or `>= 5m`", diagnostics),
    }
}

impl ExpectedError {
    fn load(node: &Node, plan: &Plan, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "an expected error", diagnostics)?;
        let error = Self {
            kind: fields.take("kind").and_then(|node| read_kind(node, diagnostics)),
            step: fields.take("step").and_then(|node| step(node, plan, diagnostics)),
            code: read_text(fields.take("code"), diagnostics),
            message: read_text(fields.take("message"), diagnostics),
        };
        fields.finish(diagnostics);
        Some(error)
    }
}

impl ExpectedCall {
    fn load(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "an expected call", diagnostics)?;
        let call = Self {
            method: read_text(fields.take("method"), diagnostics),
            url: read_text(fields.take("url"), diagnostics),
            headers: read_headers(fields.take("headers"), diagnostics),
            json: fields.take("json").map(|node| node.to_json(diagnostics)),
            json_contains: fields.take("json_contains").map(|node| node.to_json(diagnostics)),
            text: read_text(fields.take("text"), diagnostics),
            parts: fields.take("parts").map(|node| node.to_json(diagnostics)),
        };
        fields.finish(diagnostics);
        Some(call)
    }
}

impl ExpectedLog {
    fn load(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        if matches!(node.value, NodeValue::Scalar(_)) {
            return Some(Self { text: node.as_str(diagnostics)?.to_owned(), level: None, fields: None });
        }
        let mut fields = Fields::of(node, "an expected line", diagnostics)?;
        let text = read_text(fields.require("text", diagnostics), diagnostics);
        let level = fields.take("level").and_then(|node| node.one_of(LEVELS, diagnostics));
        let own = fields.take("fields").map(|node| node.to_json(diagnostics));
        fields.finish(diagnostics);
        Some(Self { text: text?, level, fields: own })
    }
}

impl ExpectedEmit {
    fn load(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        if matches!(node.value, NodeValue::Scalar(_)) {
            return Some(Self { event: node.as_str(diagnostics)?.to_owned(), data: None });
        }
        let mut fields = Fields::of(node, "an expected event", diagnostics)?;
        let event = read_text(fields.require("event", diagnostics), diagnostics);
        let data = fields.take("data").map(|node| node.to_json(diagnostics));
        fields.finish(diagnostics);
        Some(Self { event: event?, data })
    }
}
