//! What a trial shows: the request, each step with its value, its time and why it went where it did, the answer.

mod page;

use crate::outlets;
use crate::rig::{Ran, RanRun};
use hookflow_flow::{
    Choice, Enabled, End, Fact, Flow, HttpCall, Integrations, LogLevel, Outcome, Place, RetracedStep,
};
use hookflow_text::Json;
use http::{HeaderMap, HeaderName};
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Headers of calls whose values are not shown: their names, or parts of them.
const PRIVATE: &[&str] = &["authorization", "cookie", "key", "password", "secret", "signature", "token"];

/// A flow that was tried.
pub(super) struct Trial<'t> {
    pub(super) flow: &'t Flow,
    /// What its file says.
    pub(super) was: Enabled,
    pub(super) is_live: bool,
    pub(super) integrations: &'t Integrations,
    /// The steps that have mocks.
    pub(super) mocked: Vec<Arc<str>>,
    pub(super) ran: Ran,
}

impl Trial<'_> {
    pub(super) fn to_text(&self) -> String {
        page::write(&self.to_json())
    }

    pub(super) fn to_json(&self) -> Json {
        let Ran { answer, own, others, problems, unsigned } = &self.ran;
        let event = own.as_ref().map(|own| &own.event);
        // Where a run was stopped, its caller would not hear what the end of it has told here.
        let is_known =
            own.as_ref().is_none_or(|own| problems.is_empty() || own.replied || !own.flow.plan.is_sync());
        let answer = answer.as_ref().filter(|_| is_known).map(|answer| {
            json!({
                "status": answer.status().as_u16(),
                "headers": headers(answer.headers(), |_| false),
                "body": String::from_utf8_lossy(answer.body()),
            })
        });
        let rests = match self.was {
            Enabled::Yes => Json::Null,
            Enabled::No => "false".into(),
            Enabled::Paused => "paused".into(),
        };
        let mut others: Vec<_> = others.iter().collect();
        others.sort_by_key(|run| run.came);
        json!({
            "flow": &*self.flow.id,
            "live": self.is_live,
            "enabled": rests,
            "request": event.map(|event| json!({
                "method": event.head().method.as_str(),
                "url": event.head().url(),
                "credential": event.credential().map(|name| &**name),
                "note": unsigned,
            })),
            "run": own.as_ref().map(|own| self.run(own)),
            "runs": others.into_iter().map(|run| self.run(run)).collect::<Vec<_>>(),
            "stopped": problems,
            "answer": answer,
        })
    }

    fn run(&self, run: &RanRun) -> Json {
        let (status, value, error) = match run.ended.as_ref().map(|ended| &*ended.end) {
            Some(End::Succeeded(value)) => ("succeeded", value.clone(), Json::Null),
            Some(End::Failed(fault)) => ("failed", Json::Null, fault.to_json()),
            None => ("running", Json::Null, Json::Null),
        };
        let retraced = &run.retraced;
        json!({
            "flow": &*run.flow.id,
            "status": status,
            "value": value,
            "error": error,
            "took_ms": i64::try_from(run.took.as_millis()).ok(),
            "steps": self.steps(run),
            "log": retraced.log.iter().map(|line| json!({
                "step": &*line.step, "level": level(line.level), "text": line.text, "fields": line.fields,
            })).collect::<Vec<_>>(),
            "emitted": retraced.emitted.iter().map(|one| json!({
                "step": &*one.step, "event": &*one.event, "data": one.data,
            })).collect::<Vec<_>>(),
        })
    }

    /// Every step of which something is known, in the order of the file.
    fn steps(&self, run: &RanRun) -> Vec<Json> {
        let (plan, seen) = (&run.flow.plan, &run.retraced.seen);
        let nothing = RetracedStep::default();
        let mut branches = BTreeMap::<Place, Vec<Json>>::new();
        for choice in &seen.choices {
            let Some(arm) = plan.arms().get(choice.arm) else { continue };
            let place = Place { step: arm.step, turns: choice.turns.clone() };
            branches.entry(place).or_default().push(branch(run, choice));
        }
        let mut places: Vec<_> =
            seen.times.keys().chain(run.retraced.steps.keys()).chain(branches.keys()).cloned().collect();
        places.sort();
        places.dedup();
        let step = |place: Place| {
            let info = plan.step(place.step)?;
            let known = run.retraced.steps.get(&place).unwrap_or(&nothing);
            let times = seen.times.get(&place);
            let last = known.tries.last().map(|fact| fact.at);
            let ended = times.and_then(|times| times.ended).or(last);
            Some(json!({
                "step": &*info.name,
                "title": info.title,
                "verb": info.verb,
                "turns": place.turns,
                "ran": times.is_some(),
                "began_ms": times.map(|times| millis(run.came, times.began)),
                "took_ms": times.zip(ended).map(|(times, ended)| millis(times.began, ended)),
                "branches": branches.remove(&place).unwrap_or_default(),
                "in": self.asked(run, &info.name, known),
                "attempts": known.tries.iter().map(|fact| attempt(fact, run.came)).collect::<Vec<_>>(),
                "out": known.result.as_deref(),
            }))
        };
        places.into_iter().filter_map(step).collect()
    }

    /// What a step has asked the world with.
    fn asked(&self, run: &RanRun, step: &str, known: &RetracedStep) -> Option<Json> {
        if let Some(call) = &known.call {
            let key =
                if run.flow.id == self.flow.id { step.to_owned() } else { format!("{}/{step}", run.flow.id) };
            return Some(self.call(call, self.mocked.iter().any(|mocked| **mocked == *key)));
        }
        if let Some(sub) = &known.run {
            return Some(json!({"flow": &*sub.flow, "with": sub.with, "detach": sub.detach}));
        }
        Some(json!({"until": known.until?.to_string()}))
    }

    fn call(&self, call: &HttpCall, is_mocked: bool) -> Json {
        let mut call = call.clone();
        let refused = outlets::complete(&mut call, self.integrations).err();
        let is_private = |name: &HeaderName| PRIVATE.iter().any(|part| name.as_str().contains(part));
        json!({
            "method": call.method.as_str(),
            "integration": call.via.as_ref().map(|via| &*via.integration),
            "webhook": call.via.as_ref().and_then(|via| via.webhook.as_deref()),
            "url": call.url.to_string(),
            "headers": headers(&call.headers, is_private),
            "body": String::from_utf8_lossy(&call.body.shown()),
            "refused": refused,
            "sent": self.is_live && !is_mocked && refused.is_none(),
            "mocked": is_mocked,
        })
    }
}

/// One choice, and its reason.
fn branch(run: &RanRun, choice: &Choice) -> Json {
    let arm = run.flow.plan.arms().get(choice.arm);
    let place = arm.map(|arm| arm.test.as_ref().unwrap_or(&arm.span)).map(|span| {
        let position = span.position();
        format!("{}:{}:{}", span.source.name, position.line, position.column)
    });
    let test = arm.and_then(|arm| arm.test.as_ref()).map(|span| condition(span.text()));
    json!({
        "arm": arm.map(|arm| &arm.name),
        "test": test,
        "at": place,
        "value": choice.value,
        "reads": choice.reads.iter().cloned().collect::<serde_json::Map<_, _>>(),
    })
}

/// A condition on one line, without what YAML and `${ }` put around it.
fn condition(written: &str) -> String {
    let line = written.split_whitespace().collect::<Vec<_>>().join(" ");
    let quoted = ['"', '\''].into_iter().find_map(|mark| line.strip_prefix(mark)?.strip_suffix(mark));
    let bare = quoted.unwrap_or(&line);
    bare.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or(bare).trim().to_owned()
}

fn attempt(fact: &Fact, came: Timestamp) -> Json {
    let (outcome, status, failed) = match &fact.outcome {
        Outcome::Answered { status, .. } => ("answered", Some(*status), None),
        Outcome::Slept => ("slept", None, None),
        Outcome::Resumed { .. } => ("resumed", None, None),
        Outcome::Ended(_) => ("ended", None, None),
        Outcome::Failed { kind, message } => ("failed", None, Some((kind, message))),
    };
    json!({
        "attempt": fact.attempt,
        "ended_ms": millis(came, fact.at),
        "outcome": outcome,
        "status": status,
        "kind": failed.map(|(kind, _)| kind),
        "message": failed.map(|(_, message)| message),
    })
}

/// Headers by name, the private ones masked.
fn headers(headers: &HeaderMap, is_private: impl Fn(&HeaderName) -> bool) -> serde_json::Map<String, Json> {
    let mut shown = serde_json::Map::new();
    for name in headers.keys() {
        let values = || headers.get_all(name).iter();
        let value = if is_private(name) || values().any(http::HeaderValue::is_sensitive) {
            "***".to_owned()
        } else {
            values().map(|it| String::from_utf8_lossy(it.as_bytes())).collect::<Vec<_>>().join(", ")
        };
        shown.insert(name.as_str().to_owned(), value.into());
    }
    shown
}

fn millis(from: Timestamp, to: Timestamp) -> i64 {
    i64::try_from(to.duration_since(from).as_millis()).unwrap_or(i64::MAX)
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
    use http::HeaderValue;

    #[test]
    fn private_headers_are_not_shown() {
        let mut map = HeaderMap::new();
        for name in ["authorization", "x-api-key", "x-auth-token", "content-type"] {
            map.insert(name, HeaderValue::from_static("v"));
        }
        let mut marked = HeaderValue::from_static("v");
        marked.set_sensitive(true);
        map.insert("x-plain", marked);
        let is_private = |name: &HeaderName| PRIVATE.iter().any(|part| name.as_str().contains(part));
        let shown = headers(&map, is_private);
        let open: Vec<_> = shown.iter().filter(|(_, value)| **value != "***").map(|(name, _)| name).collect();
        assert_eq!(open, ["content-type"]);
    }

    #[test]
    fn a_condition_stands_on_one_line_without_marks() {
        for (written, shown) in [
            ("a > 1", "a > 1"),
            ("${ a > 1 }", "a > 1"),
            ("'${ a == \"b\" }'", "a == \"b\""),
            ("|\n  a\n  and b\n", "| a and b"),
        ] {
            assert_eq!(condition(written), shown);
        }
    }
}
