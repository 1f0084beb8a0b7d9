//! Holds what came of a test against what it expects.

use super::differences::{Difference, compare};
use crate::outlets;
use crate::rig::{Ran, RanRun};
use bytes::Bytes;
use hookflow_flow::{
    Emission, End, Expect, ExpectedCall, ExpectedCalls, ExpectedEmit, ExpectedError, ExpectedLog, Fault,
    HttpCall, Integrations, LogLevel, LogLine,
};
use hookflow_text::Json;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use serde_json::json;
use std::sync::Arc;

/// Everything that is not as expected.
pub(super) fn judge(expect: &Expect, ran: &Ran, integrations: &Integrations) -> Vec<Difference> {
    let mut out: Vec<_> = ran.problems.iter().cloned().map(Difference::problem).collect();
    judge_answer(expect, ran.answer.as_ref(), &mut out);
    judge_end(expect, ran, &mut out);
    let own = ran.own.as_ref();
    for (step, wanted) in &expect.calls {
        judge_calls(step, wanted, &calls_of(step, ran, integrations), &mut out);
    }
    let began = own.map(steps_that_ran).unwrap_or_default();
    for step in expect.ran.iter().filter(|step| !began.contains(step)) {
        out.push(Difference::new(format!("ran.{step}"), "it runs", "it did not run"));
    }
    for step in expect.not_ran.iter().filter(|step| began.contains(step)) {
        out.push(Difference::new(format!("not_ran.{step}"), "it does not run", "it ran"));
    }
    for (step, wanted) in &expect.values {
        let actual = own.map_or(Json::Null, |own| value_of(step, own));
        out.extend(compare(&format!("values.{step}"), wanted, &actual, false));
    }
    if let Some(wanted) = &expect.logs {
        judge_logs(wanted, own.map_or(&[], |own| &own.retraced.log), &mut out);
    }
    if let Some(wanted) = &expect.emits {
        judge_emits(wanted, own.map_or(&[], |own| &own.retraced.emitted), &mut out);
    }
    if let Some(took) = &expect.took {
        let actual = own.map(|own| own.took);
        if !actual.is_some_and(|actual| took.allows(actual)) {
            let actual = actual.map_or_else(|| "nothing ran".into(), |it| format!("{it:?}"));
            out.push(Difference::new("took", format!("{} {:?}", took.by, took.limit), actual));
        }
    }
    out
}

fn judge_answer(expect: &Expect, answer: Option<&Response<Bytes>>, out: &mut Vec<Difference>) {
    let Some(answer) = answer else {
        let asked = expect.status.is_some() || expect.json.is_some() || expect.json_contains.is_some();
        if asked || expect.text.is_some() || !expect.headers.is_empty() {
            out.push(Difference::new("answer", "one", "none: the flow has no webhook"));
        }
        return;
    };
    let body = String::from_utf8_lossy(answer.body());
    if let Some(status) = expect.status
        && answer.status().as_u16() != status
    {
        let short: String = body.chars().take(300).collect();
        // The rest of another answer says nothing.
        return out.push(Difference::new(
            "status",
            status.to_string(),
            format!("{} {short}", answer.status()),
        ));
    }
    judge_headers("headers", &expect.headers, answer.headers(), out);
    if let Some(wanted) = &expect.json {
        judge_json("json", wanted, &body, false, out);
    }
    if let Some(wanted) = &expect.json_contains {
        judge_json("json_contains", wanted, &body, true, out);
    }
    judge_text("text", expect.text.as_deref(), &body, out);
}

fn judge_headers(
    at: &str,
    wanted: &[(HeaderName, Option<String>)],
    headers: &HeaderMap,
    out: &mut Vec<Difference>,
) {
    for (name, wanted) in wanted {
        let got: Vec<_> =
            headers.get_all(name).iter().map(|it| String::from_utf8_lossy(it.as_bytes())).collect();
        let got = (!got.is_empty()).then(|| got.join(", "));
        if got != *wanted {
            let shown = |it: &Option<String>| it.clone().unwrap_or_else(|| "nothing".into());
            out.push(Difference::new(format!("{at}.{name}"), shown(wanted), shown(&got)));
        }
    }
}

fn judge_json(at: &str, wanted: &Json, body: &str, contains: bool, out: &mut Vec<Difference>) {
    match serde_json::from_str(body) {
        Ok(actual) => out.extend(compare(at, wanted, &actual, contains)),
        Err(_) => out.push(Difference::new(at, wanted.to_string(), format!("no JSON: {body:?}"))),
    }
}

fn judge_text(at: &str, wanted: Option<&str>, actual: &str, out: &mut Vec<Difference>) {
    if let Some(wanted) = wanted
        && wanted != actual
    {
        out.push(Difference::new(at, format!("{wanted:?}"), format!("{actual:?}")));
    }
}

/// A run that fails fails its test, unless the test says that it does.
fn judge_end(expect: &Expect, ran: &Ran, out: &mut Vec<Difference>) {
    let end = ran.own.as_ref().and_then(|own| Some(&*own.ended.as_ref()?.end));
    let fault = match end {
        Some(End::Failed(fault)) => Some(fault),
        _ => None,
    };
    let failed = |fault: &Fault| {
        let step = fault.step.as_deref().map(|step| format!(" at `{step}`")).unwrap_or_default();
        format!("failed{step} ({}): {}", fault.code, fault.message)
    };
    let may_fail = expect.error.is_some() || expect.status.is_some_and(|status| status >= 400);
    match (expect.succeeds, end, fault) {
        (Some(true), None, _) => out.push(Difference::new("outcome", "succeeded", "nothing ran")),
        (Some(false), None, _) => out.push(Difference::new("outcome", "failed", "nothing ran")),
        (Some(false), Some(_), None) => out.push(Difference::new("outcome", "failed", "succeeded")),
        (Some(true), _, Some(fault)) => out.push(Difference::new("outcome", "succeeded", failed(fault))),
        (None, _, Some(fault)) if !may_fail => {
            out.push(Difference::new("outcome", "succeeded (nothing else is said)", failed(fault)));
        }
        _ => {}
    }
    if let Some(wanted) = &expect.error {
        judge_error(wanted, fault, out);
    }
    if let Some(wanted) = &expect.value {
        match end {
            Some(End::Succeeded(actual)) => out.extend(compare("value", wanted, actual, false)),
            _ => out.push(Difference::new("value", wanted.to_string(), "the run did not succeed")),
        }
    }
}

fn judge_error(wanted: &ExpectedError, fault: Option<&Fault>, out: &mut Vec<Difference>) {
    let Some(fault) = fault else {
        return out.push(Difference::new("error", "one", "none"));
    };
    let mut same = |at: &str, wanted: Option<String>, actual: String| {
        if let Some(wanted) = wanted
            && wanted != actual
        {
            out.push(Difference::new(format!("error.{at}"), wanted, actual));
        }
    };
    let word = |kind| json!(kind).as_str().unwrap_or_default().to_owned();
    same("kind", wanted.kind.map(word), word(fault.kind));
    same("step", wanted.step.as_deref().map(Into::into), fault.step.clone().unwrap_or_default());
    same("code", wanted.code.clone(), fault.code.clone());
    same("message", wanted.message.clone(), fault.message.clone());
}

/// The calls of a step, one for each try, in the order in which they left, with what their integrations add.
fn calls_of(name: &str, ran: &Ran, integrations: &Integrations) -> Vec<Option<HttpCall>> {
    let (flow, step) = name.split_once('/').map_or((None, name), |(flow, step)| (Some(flow), step));
    let runs = ran.own.iter().filter(|_| flow.is_none());
    let others = ran.others.iter().filter(|run| flow.is_some_and(|flow| *run.flow.id == *flow));
    let mut calls = Vec::new();
    for run in runs.chain(others) {
        let number = run.flow.plan.step_of(step);
        let places = run.retraced.steps.iter().filter(|(place, _)| Some(place.step) == number);
        for (_, step) in places {
            let call = step.call.as_ref().map(|call| as_it_leaves(call, integrations));
            calls.extend(step.tries.iter().map(|_| call.clone()));
        }
    }
    calls
}

/// A call as it is shown: no test sees a secret, and those here are made up anyway.
fn as_it_leaves(call: &HttpCall, integrations: &Integrations) -> HttpCall {
    let mut call = call.clone();
    // What is refused for its URL never leaves, and its step tells so.
    drop(outlets::complete(&mut call, integrations));
    for (_, value) in call.headers.iter_mut().filter(|(_, value)| value.is_sensitive()) {
        *value = HeaderValue::from_static("***");
    }
    call
}

fn judge_calls(step: &str, wanted: &ExpectedCalls, calls: &[Option<HttpCall>], out: &mut Vec<Difference>) {
    let at = format!("calls.{step}");
    let wanted = match wanted {
        ExpectedCalls::Count(wanted) => {
            if *wanted != calls.len() as u64 {
                out.push(Difference::new(at, wanted.to_string(), calls.len().to_string()));
            }
            return;
        }
        ExpectedCalls::Each(wanted) => wanted,
    };
    if wanted.len() != calls.len() {
        out.push(Difference::new(&at, format!("{} calls", wanted.len()), format!("{} calls", calls.len())));
    }
    for (n, (wanted, call)) in wanted.iter().zip(calls).enumerate() {
        if let Some(call) = call {
            judge_call(&format!("{at}[{n}]"), wanted, call, out);
        }
    }
}

fn judge_call(at: &str, wanted: &ExpectedCall, call: &HttpCall, out: &mut Vec<Difference>) {
    judge_text(&format!("{at}.method"), wanted.method.as_deref(), call.method.as_str(), out);
    judge_text(&format!("{at}.url"), wanted.url.as_deref(), &call.url.to_string(), out);
    judge_headers(&format!("{at}.headers"), &wanted.headers, &call.headers, out);
    let body = call.body.shown();
    let body = String::from_utf8_lossy(&body);
    if let Some(json) = &wanted.json {
        judge_json(&format!("{at}.json"), json, &body, false, out);
    }
    if let Some(json) = &wanted.json_contains {
        judge_json(&format!("{at}.json_contains"), json, &body, true, out);
    }
    judge_text(&format!("{at}.text"), wanted.text.as_deref(), &body, out);
    if let Some(parts) = &wanted.parts {
        out.extend(compare(&format!("{at}.parts"), parts, &call.body.parts(), true));
    }
}

/// The steps that ran, in the order of the file.
pub(super) fn steps_that_ran(run: &RanRun) -> Vec<Arc<str>> {
    let steps = run.retraced.seen.steps.iter();
    steps.filter_map(|number| Some(Arc::clone(&run.flow.plan.step(*number)?.name))).collect()
}

/// A step's value; of one within loops the list of its values.
fn value_of(name: &str, run: &RanRun) -> Json {
    let number = run.flow.plan.step_of(name);
    let places = run.retraced.steps.iter().filter(|(place, _)| Some(place.step) == number);
    let mut values = places.filter_map(|(place, step)| Some((place, step.result.as_ref()?))).peekable();
    match values.peek() {
        Some((place, value)) if place.turns.is_empty() => Json::clone(value),
        _ => {
            let values: Vec<_> = values.map(|(_, value)| Json::clone(value)).collect();
            if values.is_empty() { Json::Null } else { values.into() }
        }
    }
}

fn judge_logs(wanted: &[ExpectedLog], lines: &[LogLine], out: &mut Vec<Difference>) {
    for n in 0..wanted.len().max(lines.len()) {
        let at = format!("logs[{n}]");
        let (wanted, line) = match (wanted.get(n), lines.get(n)) {
            (Some(wanted), Some(line)) => (wanted, line),
            (wanted, line) => {
                let wanted = wanted.map_or("nothing", |wanted| &wanted.text);
                out.push(Difference::new(at, wanted, line.map_or("nothing", |line| &line.text)));
                continue;
            }
        };
        if wanted.text != line.text {
            out.push(Difference::new(&at, &wanted.text, &line.text));
        }
        let level = level(line.level);
        if let Some(wanted) = wanted.level
            && wanted != level
        {
            out.push(Difference::new(format!("{at}.level"), wanted, level));
        }
        if let Some(wanted) = &wanted.fields {
            let fields = Json::Object(line.fields.clone());
            out.extend(compare(&format!("{at}.fields"), wanted, &fields, false));
        }
    }
}

fn judge_emits(wanted: &[ExpectedEmit], events: &[Emission], out: &mut Vec<Difference>) {
    for n in 0..wanted.len().max(events.len()) {
        let at = format!("emits[{n}]");
        match (wanted.get(n), events.get(n)) {
            (Some(wanted), Some(event)) => {
                if *wanted.event != *event.event {
                    out.push(Difference::new(&at, &wanted.event, &*event.event));
                }
                if let Some(wanted) = &wanted.data {
                    out.extend(compare(&format!("{at}.data"), wanted, &event.data, false));
                }
            }
            (wanted, event) => {
                let wanted = wanted.map_or("nothing", |wanted| &wanted.event);
                out.push(Difference::new(at, wanted, event.map_or("nothing", |event| &event.event)));
            }
        }
    }
}

fn level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}
