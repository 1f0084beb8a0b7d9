//! The request of a test, signed as its sender would.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use hookflow_flow::{Flow, Signing, TestRequest};
use hookflow_text::Json;
use hookflow_trigger::{Event, Received, Route, SampleBody};
use http::header::CONTENT_LENGTH;
use http::{Method, Request};
use jiff::Timestamp;
use std::net::IpAddr;
use std::sync::Arc;

/// How a test begins.
pub(super) enum Call {
    /// At the door.
    Request(Box<Request<Bytes>>, IpAddr),
    /// Behind the guards, for want of a sender's private key; and why.
    Event(Event, String),
    /// In a flow that only others run.
    Inner(Event),
}

impl Call {
    pub(super) fn of(
        flow: &Flow,
        test: &TestRequest,
        at: Timestamp,
        base_url: &Arc<str>,
    ) -> anyhow::Result<Self> {
        let (mut sample, suffix) = (test.request.clone(), test.suffix.clone());
        let Some(webhook) = &flow.webhook else {
            let with = match sample.body {
                SampleBody::Value(value) => value,
                SampleBody::Empty => Json::Null,
                SampleBody::Bytes(bytes) => serde_json::from_slice(&bytes)
                    .context("the flow is only run by others, so its `body` is a value")?,
            };
            let route = route(flow, suffix, None);
            return Ok(Self::Inner(Event::of_run(with, route, "test", at, Arc::clone(base_url))?));
        };
        // A request that names no method is a POST; a flow that takes none means its own.
        if sample.method == Method::POST && !webhook.methods.contains(&Method::POST) {
            sample.method = webhook.methods.iter().next().cloned().unwrap_or(Method::POST);
        }
        let path = format!("/hook/{}{suffix}", flow.id);
        let mut received = sample.clone().into_received(&webhook.body, path, at, Arc::clone(base_url));
        let body = received.body.held().cloned().unwrap_or_default();
        let credential = match &test.signing {
            Signing::Own => webhook.auth.credentials().first(),
            Signing::By(credential) => Some(credential),
            Signing::Unsigned => None,
        };
        let signed = credential.map_or(Ok(()), |credential| credential.sign(&mut received.head, &body, at));
        match (signed, &test.signing) {
            (Ok(()), _) => {
                let ip = test.ip.unwrap_or_else(|| webhook.allow_from.an_address());
                Ok(Self::Request(Box::new(written(received, body)?), ip))
            }
            (Err(why), Signing::Own) => {
                let params = webhook.path.matches(&suffix).context("the path does not take the `suffix`")?;
                let mut route = route(flow, suffix, webhook.system.clone());
                route.params = params;
                let (spec, base_url) = (&webhook.body, Arc::clone(base_url));
                let event = Event::of_sample(sample, spec, route, "test", at, base_url)?;
                Ok(Self::Event(event, why.to_string()))
            }
            (Err(why), _) => bail!("the request cannot be signed: {why}"),
        }
    }
}

fn route(flow: &Flow, suffix: String, system: Option<Arc<str>>) -> Route {
    Route { flow: Arc::clone(&flow.id), suffix, params: Vec::new(), system }
}

fn written(received: Received, body: Bytes) -> anyhow::Result<Request<Bytes>> {
    let head = received.head;
    let uri = match &head.query {
        Some(query) => format!("{}?{query}", head.path),
        None => head.path,
    };
    let length = body.len();
    let mut request = Request::builder().method(head.method).uri(uri).body(body)?;
    *request.headers_mut() = head.headers;
    request.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    Ok(request)
}
