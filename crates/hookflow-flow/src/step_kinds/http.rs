//! `http`: an outgoing call.

mod body;
mod keys;
pub(crate) mod multipart;
mod sign;
pub(crate) mod url;

use super::respond::header_name;
use crate::integration::unknown_integration;
use crate::lowering::{Lowering, ResultFields, StepNode};
use crate::plan::Instruction;
use crate::reading::Reading;
use crate::retry::Retry;
use crate::step_kind::{Asking, Asks, Example, StepKind, Stop};
use crate::written::redirects;
use crate::{Ask, Effect, Fault, FaultKind, HttpCall, Outcome, ResponseFormat, StatusSet, Via};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use body::{Body, Written};
use hookflow_expr::{Env, Escape, EvalError, Path, Text};
use hookflow_text::{Code, Diagnostics, Fields, Json, Node, NodeValue, Schema};
use keys::CALL;
use serde_json::json;
pub(super) use sign::check_sign;
use std::sync::Arc;
use std::time::Duration;
use url::UrlTemplate;

/// How long a call may take unless something around it says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// What a call's result holds besides its captures.
const RESULT: &[&str] = &["ok", "status", "headers", "body", "attempts", "error"];
/// How the body of an answer may be read.
pub(crate) const FORMATS: &[&str] = &["auto", "bytes", "json", "text", "xml"];
const METHODS: &[&str] = &["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

pub(super) static KIND: StepKind = StepKind {
    verb: "http",
    summary: "Calls another service. An answer outside `ok`, or none, fails the step. A call that holds `${WebhookRequest.TransactionalId}` may be repeated.",
    result: "`{ok, status, headers, body, attempts}` and the captures; after a failure that the flow goes on from, `ok` is false and `error` says why",
    value: Schema::Map(&CALL),
    companions: &[],
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

/// A call as it is written, in a step or as a webhook of an integration.
#[derive(Debug)]
pub(crate) struct Http {
    method: Method,
    pub(crate) url: UrlTemplate,
    via: Option<Via>,
    query: Vec<(String, Text)>,
    headers: Vec<(HeaderName, Text)>,
    body: Body,
    response: ResponseFormat,
    redirects: Option<u8>,
    ok: StatusSet,
    capture: Arc<[(String, Path)]>,
    /// Whether its URL, a header or its body holds the transactional ID.
    pub(crate) transactional: bool,
    pub(crate) sign: Option<Arc<str>>,
}

/// What a call is read with.
pub(crate) struct Around<'a> {
    /// Which methods it may have.
    pub methods: &'static [&'static str],
    /// The key of a text body.
    pub text: &'static str,
    /// The integration that it goes by, with the content type that this one names.
    pub via: Option<(Via, Option<&'a str>)>,
}

fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    let (request, transactional) = cx.call(|cx| read(cx, step.value));
    let request = Http { transactional, ..request? };
    if transactional {
        step.retry = Some(Retry::of_a_transaction());
    }
    step.result = request.result();
    cx.emit(Instruction::Ask { step: step.number, request: Arc::new(request) });
    Some(())
}

fn read(cx: &mut Lowering<'_>, node: &Node) -> Option<Http> {
    let mut fields = Fields::of(node, "an `http` step", cx.diagnostics)?;
    let mut integration = None;
    if let Some(node) = fields.take("integration") {
        let name = node.as_str(cx.diagnostics)?;
        let Some(found) = cx.surroundings.integrations.get(name) else {
            unknown_integration(node, name, cx.surroundings.integrations, cx.diagnostics);
            return None;
        };
        found.hash(None, &mut cx.hash);
        integration = Some(found);
    }
    let via = integration.map(|it| (it.via(None), it.content_type.as_deref()));
    let url_key = fields.has("url").then(|| fields.take("url")).flatten();
    let sign_key = fields.has("sign").then(|| fields.take("sign")).flatten();
    let mut reading = cx.reading();
    let around = Around { methods: METHODS, text: "text", via };
    let request = Http::read(&mut reading, &mut fields, around);
    fields.finish(reading.diagnostics);
    if let (Some(request), Some(integration)) = (&request, integration) {
        integration.check_url(&request.url, url_key.unwrap_or(node), reading.diagnostics);
    }
    if let Some(name) = request.as_ref().and_then(|request| request.sign.as_ref()) {
        check_sign(name, sign_key.unwrap_or(node), cx);
    }
    request
}

impl Http {
    /// Reads what a call has in every place where one is written.
    pub(crate) fn read(cx: &mut Reading<'_>, fields: &mut Fields<'_>, around: Around<'_>) -> Option<Self> {
        let Around { methods, text: text_key, via } = around;
        let url = if via.is_some() {
            UrlTemplate::under(cx, fields.take("url"))
        } else {
            fields.require("url", cx.diagnostics).and_then(|node| UrlTemplate::compile(cx, node))
        };
        let method = fields.take("method").map(|node| node.one_of(methods, cx.diagnostics));
        let query = texts(cx, fields.take("query"), Escape::None);
        let headers = read_headers(cx, fields.take("headers"), via.is_some());
        let bodies = body::keys(text_key).map(|key| fields.take_entry(key));
        let response = match fields.take("response").map(|node| node.one_of(FORMATS, cx.diagnostics)) {
            None | Some(Some("auto")) => Some(ResponseFormat::Auto),
            Some(Some("json")) => Some(ResponseFormat::Json),
            Some(Some("xml")) => Some(ResponseFormat::Xml),
            Some(Some("bytes")) => Some(ResponseFormat::Bytes),
            Some(Some(_)) => Some(ResponseFormat::Text),
            Some(None) => None,
        };
        let redirects = fields.take("redirects").map(|node| redirects(node, cx.diagnostics));
        let ok = fields
            .take("ok")
            .map_or_else(|| Some(StatusSet::default()), |node| StatusSet::load(node, cx.diagnostics));
        let capture = read_capture(cx, fields.take("capture"));
        let sign = fields.take("sign").map(|node| node.as_str(cx.diagnostics).map(Arc::from));

        let mut written = bodies.iter().flatten();
        if let (Some((first, _)), Some((second, _))) = (written.next(), written.next()) {
            let message = format!("a call has one body: `{}`", body::keys(text_key).join("`, `"));
            cx.diagnostics
                .error(Code("http.two-bodies"), &second.span, message)
                .also(&first.span, "the first");
            return None;
        }
        let (headers, without) = headers?;
        let (via, inherited) = via.map_or((None, None), |(via, inherited)| {
            let inherited = inherited.filter(|_| !without.contains(&header::CONTENT_TYPE));
            (Some(Via { without: without.into(), ..via }), inherited)
        });
        let body = Body::read(cx, bodies.map(|entry| entry.map(|(_, node)| node)), &headers, inherited)?;
        let method = match method {
            None if matches!(body, Body::None) => Method::GET,
            None => Method::POST,
            Some(word) => Method::from_bytes(word?.as_bytes()).ok()?,
        };
        Some(Self {
            method,
            url: url?,
            via,
            query: query?,
            headers,
            body,
            response: response?,
            redirects: redirects.map_or(Some(None), |most| most.map(Some))?,
            ok: ok?,
            capture: capture?,
            transactional: false,
            sign: sign.map_or(Some(None), |sign| sign.map(Some))?,
        })
    }

    /// What its step's result holds.
    pub(crate) fn result(&self) -> ResultFields {
        let captures = self.capture.iter().map(|(name, _)| name.clone());
        ResultFields::Known(RESULT.iter().map(|name| (*name).to_owned()).chain(captures).collect())
    }
}

fn texts(cx: &mut Reading<'_>, node: Option<&Node>, escape: Escape) -> Option<Vec<(String, Text)>> {
    let Some(node) = node else { return Some(Vec::new()) };
    let entries = node.as_map(cx.diagnostics)?;
    entries.iter().map(|(name, value)| Some((name.text().to_owned(), cx.text(value, escape)?))).collect()
}

type Headers = (Vec<(HeaderName, Text)>, Vec<HeaderName>);

/// The headers, and the names of those that are not to be inherited. What is a map is its integration's to read.
fn read_headers(cx: &mut Reading<'_>, node: Option<&Node>, inherits: bool) -> Option<Headers> {
    let (mut headers, mut without) = (Vec::new(), Vec::new());
    let entries = node.map_or(Some(&[][..]), |node| node.as_map(cx.diagnostics))?;
    for (key, value) in entries {
        let name = call_header(key, cx.diagnostics)?;
        if inherits && value.is_null() {
            without.push(name);
        } else if !inherits || !matches!(value.value, NodeValue::Map(_)) {
            headers.push((name, cx.text(value, Escape::Header)?));
        }
    }
    Some((headers, without))
}

/// The name of a header that a call may be given.
pub(crate) fn call_header(key: &Node, diagnostics: &mut Diagnostics) -> Option<HeaderName> {
    let name = header_name(key, Code("http.header"), diagnostics)?;
    if matches!(name, header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION | header::HOST)
    {
        let message = format!("`{name}` follows from the call itself");
        diagnostics.error(Code("http.header"), &key.span, message);
        return None;
    }
    Some(name)
}

fn read_capture(cx: &mut Reading<'_>, node: Option<&Node>) -> Option<Arc<[(String, Path)]>> {
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
    fn calls(&self) -> Option<&Via> {
        self.via.as_ref()
    }

    fn signs(&self) -> Option<&Arc<str>> {
        self.sign.as_ref()
    }

    fn ask(&self, env: &Env, ask: Ask) -> Result<Effect, Stop> {
        let mut url = self.url.eval(env)?;
        let pairs = self.query.iter().map(|(name, text)| Ok((name.as_str(), text.eval(env)?)));
        url.add_query(&pairs.collect::<Result<Vec<_>, EvalError>>()?);
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 1);
        for (name, text) in &self.headers {
            let value = HeaderValue::try_from(text.eval(env)?).map_err(|_| {
                let message = format!("the header `{name}` would hold a line end or a control character");
                Fault::new(FaultKind::Expression, Code("http.header-value"), message)
            })?;
            headers.append(name.clone(), value);
        }
        let Written { own_type, usual_type, body } = self.body.eval(env)?;
        if let Some(own) = own_type {
            headers.entry(header::CONTENT_TYPE).or_insert(own);
        }
        let mut via = self.via.clone();
        match (usual_type, &mut via) {
            (Some(content_type), Some(via)) => via.content_type = Some(content_type),
            (Some(content_type), None) => {
                headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
            }
            (None, _) => {}
        }
        let call = HttpCall {
            method: self.method.clone(),
            url,
            via,
            headers,
            body,
            timeout: DEFAULT_TIMEOUT,
            response: self.response,
            redirects: self.redirects,
            ok: self.ok.clone(),
            capture: Arc::clone(&self.capture),
            transactional: self.transactional,
            sign: self.sign.clone(),
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
        FaultKind::RateLimited => Code("step.http.rate-limited"),
        FaultKind::Refused => Code("step.http.refused"),
        _ => Code("step.http.failed"),
    }
}
