//! What stands in for the world in a test: one entry for each try of a step.

use crate::flow::sample::{METHODS, read_headers};
use crate::{Asked, End, Fault, FaultKind, HttpCall, Outcome};
use bytes::Bytes;
use hookflow_text::{Code, Diagnostics, Fields, Json, Key, MapSchema, Node, NodeValue, Rule, Schema};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use serde_json::json;
use std::borrow::Cow;
use std::time::Duration;

/// One mock, or a list of them.
pub(super) static MOCKS: Schema = Schema::AnyOf(&[Schema::Map(&MOCK), Schema::List(&Schema::Map(&MOCK))]);

static MOCK: MapSchema = MapSchema {
    name: "mock",
    about: "What comes of one try of a step: an answer to a call, a call of a `wait`, or the end of a `run`.",
    keys: Cow::Borrowed(&[
        Key::may("after", Schema::DURATION, "how long it takes (0s)"),
        Key::may("timeout", Schema::Bool, "no complete answer comes in time"),
        Key::may("connect", Schema::Bool, "there is no connection"),
        Key::may("tls", Schema::Bool, "TLS fails"),
        Key::may("status", Schema::Integer(100, 599), "the status of the answer (200)"),
        Key::may("headers", Schema::TEXTS, "the headers of the answer, or of the call of a `wait`"),
        Key::may("json", Schema::Any, "the body of the answer as a value"),
        Key::may("text", Schema::Text, "the body of the answer as text"),
        Key::may("timed_out", Schema::Bool, "nobody calls the `wait` in time"),
        Key::may("method", Schema::Word(METHODS), "the method of the call of a `wait` (POST)"),
        Key::may("query", Schema::ANY_MAP, "the query of the call of a `wait`"),
        Key::may("body", Schema::Any, "the body of the call of a `wait`"),
        Key::may("return", Schema::Any, "what the flow that is run returns"),
        Key::may("fail", Schema::Text, "the message that the flow that is run fails with"),
    ]),
    rules: &[Rule::AtMostOne(&["json", "text"])],
};

/// What comes of one try of a step.
#[derive(Debug, Clone)]
pub struct Mock {
    /// How long it takes.
    pub after: Duration,
    /// What it is.
    pub outcome: MockOutcome,
}

/// What a mock says has happened.
#[derive(Debug, Clone)]
pub enum MockOutcome {
    /// The other side answered.
    Answer {
        /// With this status.
        status: StatusCode,
        /// With these headers.
        headers: HeaderMap,
        /// With this body.
        body: Bytes,
    },
    /// No answer came; a timeout takes all the time there is.
    Failed(FaultKind),
    /// It is known as it stands: of a wait and of a run.
    Known(Outcome),
    /// Nobody calls; the time to wait passes.
    Silence,
}

impl Mock {
    /// Reads one mock, or a list of them.
    pub fn load_all(node: &Node, asked: Asked, diagnostics: &mut Diagnostics) -> Option<Vec<Self>> {
        let items = match &node.value {
            NodeValue::Seq(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        if items.is_empty() {
            diagnostics.error(Code("test.mock"), &node.span, "a step without a try needs no mock");
            return None;
        }
        let mocks: Vec<_> = items.iter().map(|item| Self::load(item, asked, diagnostics)).collect();
        mocks.into_iter().collect()
    }

    fn load(node: &Node, asked: Asked, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "a mock", diagnostics)?;
        let after = fields.take("after").and_then(|node| node.as_duration(diagnostics)).unwrap_or_default();
        let outcome = match asked {
            Asked::Wait => read_wait(&mut fields, diagnostics),
            Asked::Run => read_run(&mut fields, diagnostics),
            Asked::Call | Asked::Sleep => read_call(&mut fields, diagnostics),
        };
        fields.finish(diagnostics);
        Some(Self { after, outcome: outcome? })
    }

    /// What comes of a call, and how long that takes when it may take so long.
    pub fn answer(&self, call: Option<&HttpCall>) -> (Duration, Option<Outcome>) {
        let outcome = match &self.outcome {
            MockOutcome::Answer { status, headers, body } => {
                call.map(|call| call.answered(*status, headers, body))
            }
            MockOutcome::Failed(FaultKind::Timeout) => {
                let whole = call.map_or(Duration::MAX, |call| call.timeout);
                return (whole, Some(failed(FaultKind::Timeout, "no complete answer in time (mocked)")));
            }
            MockOutcome::Failed(kind) => Some(failed(*kind, "no connection (mocked)")),
            MockOutcome::Known(outcome) => Some(outcome.clone()),
            MockOutcome::Silence => None,
        };
        (self.after, outcome)
    }
}

fn failed(kind: FaultKind, message: &str) -> Outcome {
    Outcome::Failed { kind, message: message.to_owned() }
}

fn read_call(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<MockOutcome> {
    for (key, kind) in
        [("timeout", FaultKind::Timeout), ("connect", FaultKind::Connect), ("tls", FaultKind::Tls)]
    {
        if fields.take(key).and_then(|node| node.as_bool(diagnostics)) == Some(true) {
            return Some(MockOutcome::Failed(kind));
        }
    }
    let status = match fields.take("status") {
        Some(node) => node.as_integer(100, 599, diagnostics)?,
        None => 200,
    };
    let mut headers = read_headers(fields.take("headers"), diagnostics)?;
    let json = fields.take("json").map(|node| node.to_json(diagnostics));
    let text = fields.take("text");
    let (media_type, body) = match (json, text) {
        (Some(_), Some(text)) => {
            diagnostics.error(Code("test.mock"), &text.span, "an answer has one body: `json` or `text`");
            return None;
        }
        (Some(json), None) => (Some("application/json"), json.to_string()),
        (None, Some(text)) => (Some("text/plain; charset=utf-8"), text.as_str(diagnostics)?.to_owned()),
        (None, None) => (None, String::new()),
    };
    if let Some(media_type) = media_type {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(media_type));
    }
    let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok())?;
    Some(MockOutcome::Answer { status, headers, body: body.into() })
}

fn read_wait(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<MockOutcome> {
    if fields.take("timed_out").and_then(|node| node.as_bool(diagnostics)) == Some(true) {
        return Some(MockOutcome::Silence);
    }
    let method = match fields.take("method") {
        Some(node) => node.one_of(METHODS, diagnostics)?,
        None => Method::POST.as_str(),
    };
    let headers = read_headers(fields.take("headers"), diagnostics)?;
    let headers = headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    let query = fields.take("query").map_or_else(|| json!({}), |node| node.to_json(diagnostics));
    let body = fields.take("body").map_or(Json::Null, |node| node.to_json(diagnostics));
    let method = method.to_owned();
    Some(MockOutcome::Known(Outcome::Resumed { method, headers, query, body, files: json!([]) }))
}

fn read_run(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<MockOutcome> {
    let value = fields.take("return").map(|node| node.to_json(diagnostics));
    let end = match fields.take("fail") {
        Some(node) => {
            End::Failed(Fault::new(FaultKind::Custom, Code("step.fail"), node.as_str(diagnostics)?))
        }
        None => End::Succeeded(value.unwrap_or_default()),
    };
    Some(MockOutcome::Known(Outcome::Ended(end)))
}
