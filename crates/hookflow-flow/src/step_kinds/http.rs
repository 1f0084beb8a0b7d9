//! `http`: an outgoing call.

mod url;

use super::respond::{header_name, text_escape};
use crate::lowering::{Lowering, ResultFields, StepNode};
use crate::plan::Instruction;
use crate::retry::Retry;
use crate::step_kind::{Asking, Asks, Companion, Example, StepKind, Stop};
use crate::{Ask, Effect, Fault, FaultKind, HttpCall, Outcome, ResponseFormat, StatusSet};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use bytes::Bytes;
use hookflow_expr::{Env, Escape, Path, Template, Text};
use hookflow_text::{Code, Fields, Json, Node};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use url::UrlTemplate;

/// How long a call may take unless something around it says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// What a call's result holds besides its captures.
const RESULT: &[&str] = &["ok", "status", "headers", "body", "attempts", "error"];
const METHODS: &[&str] = &["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

pub(super) static KIND: StepKind = StepKind {
    verb: "http",
    summary: "Calls another service. An answer outside `ok`, or none, fails the step. A call that holds `${WebhookRequest.TransactionalId}` may be repeated.",
    result: "`{ok, status, headers, body, attempts}` and the captures; after a failure that the flow goes on from, `ok` is false and `error` says why",
    companions: &[
        Companion { key: "method", about: "GET, or POST when there is a body" },
        Companion {
            key: "url",
            about: "the whole URL; what templates put into its path or query is percent-encoded",
        },
        Companion { key: "query", about: "a map of names to text, added to the URL's query" },
        Companion { key: "headers", about: "a map of names to text" },
        Companion { key: "json", about: "the body as a value" },
        Companion { key: "text", about: "the body as text" },
        Companion { key: "form", about: "the body as form fields: a map of names to text" },
        Companion { key: "ok", about: "which answers are good: statuses and classes ([2xx])" },
        Companion { key: "response", about: "how the answer's body is read: auto, json or text (auto)" },
        Companion { key: "capture", about: "a map of names to paths into the answer's body" },
    ],
    blocks: &[],
    asks: Asking::Again,
    example: Example {
        flow: r"
flow: reserve
webhook:
  auth: none
  sample: {body: {sku: A 1, qty: 2}}
steps:
  - id: stock
    http:
      method: POST
      url: https://warehouse.example/items/${ webhook.body.sku }/reservations
      json: {qty: '${ webhook.body.qty }'}
      ok: [2xx, 409]
      capture: {reservation: 'data[0].id'}
  - respond:
      status: ${ 409 if steps.stock.status == 409 else 201 }
      json: {reservation: '${ steps.stock.reservation }'}
",
        mocks: &[("stock", 201, r#"{"data":[{"id":"R-7"}]}"#)],
        answer: (201, r#"{"reservation":"R-7"}"#),
    },
    lower,
};

#[derive(Debug)]
struct Http {
    method: Method,
    url: UrlTemplate,
    query: Vec<(String, Text)>,
    headers: Vec<(HeaderName, Text)>,
    body: Body,
    response: ResponseFormat,
    ok: StatusSet,
    capture: Arc<[(String, Path)]>,
    /// Whether its URL, a header or its body holds the transactional ID.
    transactional: bool,
}

#[derive(Debug)]
enum Body {
    None,
    Json(Template),
    Text { text: Text, content_type: &'static str },
    Form(Vec<(String, Text)>),
}

fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    let (request, transactional) = cx.call(|cx| read(cx, step.value));
    let request = Http { transactional, ..request? };
    if transactional {
        step.retry = Some(Retry::of_a_transaction());
    }
    let captures = request.capture.iter().map(|(name, _)| name.clone());
    let names = RESULT.iter().map(|name| (*name).to_owned()).chain(captures);
    step.result = ResultFields::Known(names.collect());
    cx.emit(Instruction::Ask { step: step.number, request: Arc::new(request) });
    Some(())
}

fn read(cx: &mut Lowering<'_>, node: &Node) -> Option<Http> {
    let mut fields = Fields::of(node, "an `http` step", cx.diagnostics)?;
    let url = fields.require("url", cx.diagnostics).and_then(|node| UrlTemplate::compile(cx, node));
    let method = fields.take("method").map(|node| node.one_of(METHODS, cx.diagnostics));
    let query = texts(cx, fields.take("query"), Escape::None);
    let headers = read_headers(cx, fields.take("headers"));
    let bodies = ["json", "text", "form"].map(|key| fields.take_entry(key));
    let response =
        match fields.take("response").map(|node| node.one_of(&["auto", "json", "text"], cx.diagnostics)) {
            None | Some(Some("auto")) => Some(ResponseFormat::Auto),
            Some(Some("json")) => Some(ResponseFormat::Json),
            Some(Some(_)) => Some(ResponseFormat::Text),
            Some(None) => None,
        };
    let ok = fields
        .take("ok")
        .map_or_else(|| Some(StatusSet::default()), |node| StatusSet::load(node, cx.diagnostics));
    let capture = read_capture(cx, fields.take("capture"));
    fields.finish(cx.diagnostics);

    let mut written = bodies.iter().flatten();
    if let (Some((first, _)), Some((second, _))) = (written.next(), written.next()) {
        cx.diagnostics
            .error(Code("http.two-bodies"), &second.span, "a call has one body: `json`, `text` or `form`")
            .also(&first.span, "the first");
        return None;
    }
    let [json, text, form] = bodies.map(|entry| entry.map(|(_, node)| node));
    let body = if let Some(node) = json {
        Body::Json(cx.template(node)?)
    } else if let Some(node) = text {
        let content_type = headers.as_deref()?.iter().find(|(name, _)| name == header::CONTENT_TYPE);
        let (escape, content_type) =
            text_escape(node.text(), content_type.map(|(_, text)| text.constant().unwrap_or("")));
        Body::Text { text: cx.text(node, escape)?, content_type }
    } else if form.is_some() {
        Body::Form(texts(cx, form, Escape::None)?)
    } else {
        Body::None
    };
    let method = match method {
        None if matches!(body, Body::None) => Method::GET,
        None => Method::POST,
        Some(word) => Method::from_bytes(word?.as_bytes()).ok()?,
    };
    Some(Http {
        method,
        url: url?,
        query: query?,
        headers: headers?,
        body,
        response: response?,
        ok: ok?,
        capture: capture?,
        transactional: false,
    })
}

fn texts(cx: &mut Lowering<'_>, node: Option<&Node>, escape: Escape) -> Option<Vec<(String, Text)>> {
    let Some(node) = node else { return Some(Vec::new()) };
    let entries = node.as_map(cx.diagnostics)?;
    entries.iter().map(|(name, value)| Some((name.text().to_owned(), cx.text(value, escape)?))).collect()
}

fn read_headers(cx: &mut Lowering<'_>, node: Option<&Node>) -> Option<Vec<(HeaderName, Text)>> {
    let Some(node) = node else { return Some(Vec::new()) };
    let mut headers = Vec::new();
    for (key, value) in node.as_map(cx.diagnostics)? {
        let name = header_name(key, Code("http.header"), cx.diagnostics)?;
        if matches!(
            name,
            header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION | header::HOST
        ) {
            cx.diagnostics.error(
                Code("http.header"),
                &key.span,
                format!("`{name}` follows from the call itself"),
            );
            return None;
        }
        headers.push((name, cx.text(value, Escape::Header)?));
    }
    Some(headers)
}

fn read_capture(cx: &mut Lowering<'_>, node: Option<&Node>) -> Option<Arc<[(String, Path)]>> {
    let Some(node) = node else { return Some(Arc::new([])) };
    let mut captures = Vec::new();
    for (key, value) in node.as_map(cx.diagnostics)? {
        let name = cx.own_name(key)?;
        if RESULT.contains(&&*name) {
            let message = format!("a capture cannot be named `{name}`: the result has a field of that name");
            cx.diagnostics.error(Code("http.capture"), &key.span, message);
            return None;
        }
        match Path::parse(value.as_str(cx.diagnostics)?) {
            Ok(path) => captures.push((name.to_string(), path)),
            Err(why) => {
                cx.diagnostics.error(Code("http.capture"), &value.span, why);
                return None;
            }
        }
    }
    Some(captures.into())
}

impl Asks for Http {
    fn ask(&self, env: &Env, ask: Ask) -> Result<Effect, Stop> {
        let mut url = self.url.eval(env)?;
        if !self.query.is_empty() {
            let mut pairs = url.query_pairs_mut();
            for (name, text) in &self.query {
                pairs.append_pair(name, &text.eval(env)?);
            }
        }
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 1);
        for (name, text) in &self.headers {
            let value = HeaderValue::try_from(text.eval(env)?).map_err(|_| {
                let message = format!("the header `{name}` would hold a line end or a control character");
                Fault::new(FaultKind::Expression, Code("http.header-value"), message)
            })?;
            headers.append(name.clone(), value);
        }
        let (content_type, body) = match &self.body {
            Body::None => (None, Bytes::new()),
            Body::Json(template) => {
                let value = template.eval(env)?;
                (Some("application/json"), serde_json::to_vec(&*value).unwrap_or_default().into())
            }
            Body::Text { text, content_type } => (Some(*content_type), text.eval(env)?.into()),
            Body::Form(pairs) => {
                let mut form = ::url::form_urlencoded::Serializer::new(String::new());
                for (name, text) in pairs {
                    form.append_pair(name, &text.eval(env)?);
                }
                (Some("application/x-www-form-urlencoded"), form.finish().into())
            }
        };
        if let Some(content_type) = content_type {
            headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
        }
        let call = HttpCall {
            method: self.method.clone(),
            url,
            headers,
            body,
            timeout: DEFAULT_TIMEOUT,
            response: self.response,
            ok: self.ok.clone(),
            capture: Arc::clone(&self.capture),
            transactional: self.transactional,
        };
        Ok(Effect::Call(ask, Box::new(call)))
    }

    fn settle(&self, outcome: &Outcome, attempt: u32) -> (Json, Option<Fault>) {
        match outcome {
            Outcome::Answered { status, headers, body, captures } => {
                let ok = self.ok.contains(*status);
                let mut result = json!({"ok": ok, "status": status, "headers": headers, "body": body, "attempts": attempt});
                if let Json::Object(map) = &mut result {
                    map.extend(
                        captures
                            .iter()
                            .map(|(name, value)| (name.clone(), if ok { value.clone() } else { Json::Null })),
                    );
                }
                let fault = (!ok).then(|| Fault {
                    status: Some(*status),
                    attempts: Some(attempt),
                    ..Fault::new(
                        FaultKind::Status,
                        Code("step.http.status"),
                        format!("the answer was {status}"),
                    )
                });
                (result, fault)
            }
            Outcome::Failed { kind, message } => self.failed(*kind, message, attempt),
            _ => self.failed(FaultKind::Interrupted, "what came is not the outcome of a call", attempt),
        }
    }
}

impl Http {
    /// The result of a call without an answer.
    fn failed(&self, kind: FaultKind, message: &str, attempt: u32) -> (Json, Option<Fault>) {
        let fault = Fault { attempts: Some(attempt), ..Fault::new(kind, code_of(kind), message) };
        let mut result =
            json!({"ok": false, "status": null, "headers": {}, "body": null, "attempts": attempt});
        if let Json::Object(map) = &mut result {
            map.extend(self.capture.iter().map(|(name, _)| (name.clone(), Json::Null)));
        }
        (result, Some(fault))
    }
}

fn code_of(kind: FaultKind) -> Code {
    match kind {
        FaultKind::Timeout => Code("step.http.timeout"),
        FaultKind::Connect => Code("step.http.connect"),
        FaultKind::Tls => Code("step.http.tls"),
        FaultKind::TooLarge => Code("step.http.too-large"),
        FaultKind::Parse => Code("step.http.parse"),
        FaultKind::Refused => Code("step.http.refused"),
        _ => Code("step.http.failed"),
    }
}
