//! What a trial shows: the request, each step's value, the calls, the log and the answer.

use crate::sample_request::SampleRequest;
use hookflow_flow::{Answer, Enabled, End, Fault, FaultKind, Flow, LogLevel, Rehearsal};
use hookflow_text::Json;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Headers of calls whose values are not shown: their names, or parts of them.
const PRIVATE: &[&str] = &["authorization", "cookie", "key", "password", "secret", "signature", "token"];

/// A flow that was tried.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) flow: Arc<Flow>,
    pub(super) request: SampleRequest,
    pub(super) rehearsal: Rehearsal,
    /// The steps whose calls were answered with 200 and nothing, for want of a mock.
    pub(super) unmocked: BTreeSet<String>,
}

/// An answer as the caller would see it.
struct Shown {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Trial {
    pub(super) fn to_text(&self) -> String {
        let SampleRequest { method, url, note, event } = &self.request;
        let credential =
            event.credential().map_or("nobody proved anything".into(), |name| format!("signed as `{name}`"));
        let mut text = format!("{method} {url} ({})\n", note.as_ref().unwrap_or(&credential));
        text.push_str("\nsteps\n");
        if self.flow.enabled == Enabled::Paused {
            text.insert_str(0, "The flow is paused: the service would not run it now.\n");
        }
        for step in &self.rehearsal.steps {
            text.push_str(&format!("  {} ({}): {}\n", step.name, step.verb, step.value));
        }
        if !self.rehearsal.calls.is_empty() {
            text.push_str("\ncalls\n");
        }
        for (step, call) in &self.rehearsal.calls {
            text.push_str(&format!("  {step}: {} {}\n", call.method, call.url));
            for (name, value) in mask(&call.headers) {
                text.push_str(&format!("    {name}: {value}\n"));
            }
            for line in String::from_utf8_lossy(&call.body.shown()).lines() {
                text.push_str(&format!("    {line}\n"));
            }
            if self.unmocked.contains(&**step) {
                text.push_str(&format!(
                    "    not sent; answered with 200 and nothing. Another answer: --mock {step}='{{\"status\": 201, \"json\": {{}}}}'\n"
                ));
            }
        }
        if !self.rehearsal.invented.is_empty() {
            text.push_str("\nmade up\n");
        }
        for (step, what) in &self.rehearsal.invented {
            text.push_str(&format!("  {step}: {what}\n"));
        }
        if !self.rehearsal.emitted.is_empty() {
            text.push_str("\nemitted\n");
        }
        for emission in &self.rehearsal.emitted {
            text.push_str(&format!("  {}: {} {}\n", emission.step, emission.event, emission.data));
        }
        if !self.rehearsal.log.is_empty() {
            text.push_str("\nlog\n");
        }
        for line in &self.rehearsal.log {
            text.push_str(&format!("  {}: {}\n", level(line.level), line.text));
        }
        if let Some(End::Failed(fault)) = &self.rehearsal.end {
            text.push_str(&format!("\nfailed{}\n  {}: {}\n", at_step(fault), fault.code, fault.message));
        }
        let answer = self.answer();
        text.push_str(&format!("\nanswer\n  {}\n", answer.status));
        for (name, value) in &answer.headers {
            text.push_str(&format!("  {name}: {value}\n"));
        }
        for line in answer.body.lines() {
            text.push_str(&format!("  {line}\n"));
        }
        text
    }

    pub(super) fn to_json(&self) -> Json {
        let SampleRequest { method, url, note, event } = &self.request;
        let Rehearsal { steps, calls, log, end, invented, emitted, .. } = &self.rehearsal;
        let answer = self.answer();
        let pairs =
            |pairs: Vec<(String, String)>| pairs.into_iter().map(|(name, value)| (name, value.into()));
        json!({
            "flow": &*self.flow.id,
            "request": {
                "method": method.as_str(), "url": url, "credential": event.credential().map(|name| &**name), "note": note,
            },
            "steps": steps.iter().map(|step| json!({
                "step": &*step.name, "verb": step.verb, "value": &*step.value,
            })).collect::<Json>(),
            "calls": calls.iter().map(|(step, call)| json!({
                "step": &**step,
                "method": call.method.as_str(),
                "integration": call.via.as_ref().map(|via| &*via.integration),
                "url": call.url.to_string(),
                "headers": pairs(mask(&call.headers)).collect::<serde_json::Map<_, Json>>(),
                "body": String::from_utf8_lossy(&call.body.shown()),
                "mocked": !self.unmocked.contains(&**step),
            })).collect::<Json>(),
            "log": log.iter().map(|line| json!({
                "level": level(line.level), "text": line.text, "fields": line.fields, "step": &*line.step,
            })).collect::<Json>(),
            "invented": invented.iter().map(|(step, what)| json!({"step": &**step, "what": what})).collect::<Json>(),
            "emitted": emitted.iter().map(|one| json!({
                "step": &*one.step, "event": &*one.event, "data": one.data,
            })).collect::<Json>(),
            "error": match end {
                Some(End::Failed(fault)) => fault.to_json(),
                _ => Json::Null,
            },
            "answer": {
                "status": answer.status,
                "headers": pairs(answer.headers).collect::<serde_json::Map<_, Json>>(),
                "body": answer.body,
            },
        })
    }

    /// What the caller would get.
    fn answer(&self) -> Shown {
        let plain = |status, body: Json| Shown {
            status,
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.to_string(),
        };
        match &self.rehearsal.answer {
            Answer::Reply(reply) | Answer::Accepted(Some(reply)) => Shown {
                status: reply.status.as_u16(),
                headers: reply.headers.iter().map(|(name, value)| (name.to_string(), shown(value))).collect(),
                body: String::from_utf8_lossy(&reply.body).into_owned(),
            },
            Answer::Accepted(None) => plain(202, json!({"run_id": "try", "status": "queued"})),
            Answer::Completed => plain(200, json!({"run_id": "try", "status": "completed"})),
            Answer::Failed(fault) => {
                let usual = if fault.kind == FaultKind::Validation { 422 } else { 500 };
                let status = fault.answer.unwrap_or(usual);
                let body = json!({
                    "type": "https://hookflow.dev/errors/flow-failed", "title": "The flow failed", "status": status,
                    "code": "flow-failed", "request_id": "try", "run_id": "try",
                });
                let headers = vec![("content-type".into(), "application/problem+json".into())];
                Shown { status, headers, body: body.to_string() }
            }
        }
    }
}

fn at_step(fault: &Fault) -> String {
    fault.step.as_ref().map(|step| format!(" at `{step}`")).unwrap_or_default()
}

/// Headers of a call, the private ones masked.
fn mask(headers: &HeaderMap) -> Vec<(String, String)> {
    let private = |name: &HeaderName| PRIVATE.iter().any(|part| name.as_str().contains(part));
    headers
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                if private(name) || value.is_sensitive() { "***".into() } else { shown(value) },
            )
        })
        .collect()
}

fn shown(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_headers_are_not_shown() {
        let mut headers = HeaderMap::new();
        for name in ["authorization", "x-api-key", "x-auth-token", "content-type"] {
            headers.insert(name, HeaderValue::from_static("v"));
        }
        let shown: Vec<_> = mask(&headers).into_iter().map(|(_, value)| value).collect();
        assert_eq!(shown, ["***", "***", "***", "v"]);
    }
}
