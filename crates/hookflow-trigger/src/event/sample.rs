//! Requests that nobody sent: a flow's `sample`, a trial, the call of a `run` step.

use super::{Came, Event, Origin, Proof};
use crate::{Body, BodySpec, DecodeRefusal, Head, Means, Received, Route, properties};
use bytes::Bytes;
use hookflow_expr::write_xml;
use hookflow_text::Json;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use jiff::Timestamp;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Between the parts of a sample; it also stands in [`default_type`].
const BOUNDARY: &str = "sample-of-a-form";

/// A request as a flow's file describes it.
#[derive(Debug, Clone)]
pub struct Sample {
    /// How it is sent.
    pub method: Method,
    /// Sent with it.
    pub headers: HeaderMap,
    /// A map, or a text as it stands in the URL; null and an empty map are no query.
    pub query: Json,
    /// Sent with it.
    pub body: SampleBody,
}

/// The body of a sample.
#[derive(Debug, Clone, Default)]
pub enum SampleBody {
    /// None.
    #[default]
    Empty,
    /// A value, written as the webhook's format has it.
    Value(Json),
    /// Bytes as they are.
    Bytes(Bytes),
}

impl Default for Sample {
    fn default() -> Self {
        Self { method: Method::POST, headers: HeaderMap::new(), query: Json::Null, body: SampleBody::Empty }
    }
}

impl Sample {
    /// The request that it stands for, to be signed and sent. A media type is added when none is written.
    pub fn into_received(self, spec: &BodySpec, path: String, at: Timestamp, base_url: Arc<str>) -> Received {
        let Self { method, mut headers, query, body } = self;
        let (body, media_type) = match body {
            SampleBody::Empty => (Bytes::new(), default_type(spec)),
            SampleBody::Bytes(bytes) => (bytes, default_type(spec)),
            SampleBody::Value(value) => write(&value, spec, &headers),
        };
        if !body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
        let query = match query {
            Json::String(text) => text,
            map => properties::write(&map),
        };
        let query = Some(query).filter(|query| !query.is_empty());
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let body = Body::Held(body);
        Received { head: Head { method, path, query, headers, ip, received_at: at, base_url }, body }
    }
}

impl Event {
    /// The event that a sample stands for, from an operator: nothing was proved, so no credential is named.
    ///
    /// # Errors
    /// When the sample's body is none that the webhook takes.
    pub fn of_sample(
        sample: Sample,
        spec: &BodySpec,
        route: Route,
        id: impl Into<Arc<str>>,
        at: Timestamp,
        base_url: Arc<str>,
    ) -> Result<Self, DecodeRefusal> {
        Self::of_ours(Origin::Operator, sample, spec.clone(), route, id.into(), (at, base_url))
    }

    /// The event of a flow that another flow runs: `body` is what its `with` gave.
    ///
    /// # Errors
    /// When the value nests deeper than a body may.
    pub fn of_run(
        body: Json,
        route: Route,
        id: impl Into<Arc<str>>,
        at: Timestamp,
        base_url: Arc<str>,
    ) -> Result<Self, DecodeRefusal> {
        let sample = Sample { body: SampleBody::Value(body), ..Sample::default() };
        Self::of_ours(Origin::Run, sample, BodySpec::auto(u64::MAX), route, id.into(), (at, base_url))
    }

    fn of_ours(
        origin: Origin,
        sample: Sample,
        spec: BodySpec,
        route: Route,
        id: Arc<str>,
        (at, base_url): (Timestamp, Arc<str>),
    ) -> Result<Self, DecodeRefusal> {
        let path = format!("/hook/{}{}", route.flow, route.suffix);
        let Received { head, body } = sample.into_received(&spec, path, at, base_url);
        let (content, decoded) = spec.decode(&head.headers, &body, &mut Means::memory())?;
        let proof = Proof { origin, credential: None, replay: None };
        Ok(Self::build(id, proof, head, Came { wire: body, content, decoded }, spec, route))
    }
}

fn write(value: &Json, spec: &BodySpec, headers: &HeaderMap) -> (Bytes, &'static str) {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_xml = spec.format() == "xml" || media_type.ends_with("/xml") || media_type.ends_with("+xml");
    let form = spec.format() == "form" || media_type.starts_with("application/x-www-form-urlencoded");
    let text = matches!(spec.format(), "text" | "bytes") || media_type.starts_with("text/");
    match value {
        Json::Object(_) if spec.format() == "multipart" => (multipart(value).into(), default_type(spec)),
        Json::Object(_) if form => (properties::write(value).into(), default_type(spec)),
        Json::String(words) if text => (words.clone().into(), default_type(spec)),
        value => match is_xml.then(|| write_xml(value, spec.xml())) {
            Some(Ok(text)) => (text.into(), "application/xml"),
            // What has no XML form is refused as what it then is: no XML.
            _ => (value.to_string().into(), "application/json"),
        },
    }
}

/// The fields of a form as parts. A value in which the boundary stood would be the operator's own.
fn multipart(value: &Json) -> String {
    let form = properties::write(value);
    let mut out = String::new();
    for (name, value) in properties::pairs(form.as_bytes()) {
        let (name, value) = (String::from_utf8_lossy(&name), String::from_utf8_lossy(&value));
        let name = name.replace('"', "\\\"").replace(['\r', '\n'], " ");
        out.push_str(&format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ));
    }
    out.push_str(&format!("--{BOUNDARY}--\r\n"));
    out
}

fn default_type(spec: &BodySpec) -> &'static str {
    match spec.format() {
        "form" => "application/x-www-form-urlencoded",
        "text" => "text/plain; charset=utf-8",
        "bytes" => "application/octet-stream",
        "multipart" => "multipart/form-data; boundary=sample-of-a-form",
        "xml" => "application/xml",
        _ => "application/json",
    }
}
