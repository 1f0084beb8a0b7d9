//! What comes in, in a trial: the flow's sample, or a request that was recorded.

use crate::recorded_request;
use anyhow::{Context as _, bail};
use hookflow_flow::{Flow, Signing, TestRequest};
use hookflow_text::Json;
use hookflow_trigger::{Sample, SampleBody};
use http::header::CONTENT_LENGTH;
use jiff::Timestamp;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// The flow's sample.
pub(super) fn sample(flow: &Flow) -> TestRequest {
    let sample = flow.webhook.as_ref().and_then(|webhook| webhook.sample.as_ref());
    let (request, suffix) =
        sample.map(|sample| (sample.request.clone(), sample.suffix.clone())).unwrap_or_default();
    TestRequest { request, suffix, signing: Signing::Own, ip: None }
}

/// What a file has recorded. It is signed anew, for its signature is too old by now, or its secret is not at hand.
pub(super) fn recorded(
    path: &Path,
    flow: &Flow,
    base_url: &Arc<str>,
    at: Timestamp,
) -> anyhow::Result<TestRequest> {
    let shown = path.display();
    let record = fs::read(path).with_context(|| format!("`{shown}` cannot be read"))?;
    let received = recorded_request::read(&record, base_url, at)
        .with_context(|| format!("`{shown}` is not a recorded request"))?;
    let (head, body) = (received.head, received.body.held().cloned().unwrap_or_default());
    let door = format!("/hook/{}", flow.id);
    let suffix = head.path.strip_prefix(&door).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let Some(suffix) = suffix else { bail!("`{shown}` is a request for {}, not for {door}", head.path) };
    let mut headers = head.headers;
    headers.remove(CONTENT_LENGTH);
    let query = head.query.map_or(Json::Null, Json::String);
    let body = if body.is_empty() { SampleBody::Empty } else { SampleBody::Bytes(body) };
    let request = Sample { method: head.method, headers, query, body };
    Ok(TestRequest { request, suffix: suffix.to_owned(), signing: Signing::Own, ip: None })
}
