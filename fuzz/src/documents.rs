//! A flow's file. It is read or every mistake in it is told; what was read is run on its sample, and its journal
//! replayed gives the same run.

use super::{Always, NOW, RIGHT};
use hookflow_flow::{Flow, HttpCall, Integrations, Outcome, Run, Start, Surroundings, rehearse};
use hookflow_text::{Diagnostics, Source, parse};
use hookflow_trigger::Credentials;
use std::sync::Arc;

const CREDENTIALS: &str = "
github: {type: hmac, preset: github, secret: {env: A}}
mobile: {type: api_key, header: X-Api-Key, keys: [{env: A}]}
partner: {type: basic, username: acme, password: {env: A}}
";

/// See the module.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut diagnostics = Diagnostics::default();
    let Some(flow) = load(text, &mut diagnostics) else {
        assert!(diagnostics.has_errors(), "a flow is missing and nobody says why");
        assert!(!diagnostics.render(false).is_empty());
        return;
    };
    diagnostics.render(false);
    let Ok(event) = flow.sample_event("evt-1".into(), NOW, "https://hooks.example") else { return };
    let start = Start {
        run: "run-1".into(),
        started_at: NOW,
        seed: [7; 16],
        event: Arc::new(event),
        attempt: 1,
        deadline: None,
    };
    let mut calls = 0;
    let rehearsal = rehearse(&flow, start.clone(), &mut |_, call| {
        calls += 1;
        answer(call, calls)
    });
    assert!(rehearsal.end.is_some(), "a run whose calls are all answered has no end");
    let (again, _) = Run::replay(Arc::clone(&flow.plan), start, &rehearsal.facts).expect("a journal replays");
    assert_eq!(again.end(), rehearsal.end.as_ref(), "a replay ends otherwise");
}

fn load(text: &str, diagnostics: &mut Diagnostics) -> Option<Flow> {
    let root = parse(&Source::new("credentials.yaml", CREDENTIALS), diagnostics)?;
    let credentials = Credentials::load(&root, &Always(RIGHT), diagnostics);
    let integrations = Integrations::of_examples();
    let read_file = |path: &str| Err(format!("there is no `{path}`"));
    let surroundings = Surroundings {
        credentials: &credentials,
        integrations: &integrations,
        body_limit: 1 << 20,
        read_file: &read_file,
    };
    let root = parse(&Source::new("flows/shop.yaml", text), diagnostics)?;
    Flow::load(&root, &surroundings, diagnostics)
}

/// Every third call fails.
fn answer(call: &HttpCall, nth: u64) -> Outcome {
    let status = if nth.is_multiple_of(3) { http::StatusCode::BAD_GATEWAY } else { http::StatusCode::OK };
    let mut headers = http::HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    call.answered(status, &headers, br#"{"id": 1, "items": [{"n": 10.10}], "next": null}"#)
}
