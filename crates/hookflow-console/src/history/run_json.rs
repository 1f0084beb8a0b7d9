//! A run as JSON: the request, each step with what went in and came out, the answer and the end.

use super::shown::Room;
use crate::asked::word;
use hookflow_expr::{Found, Lookup as _};
use hookflow_flow::{
    End, Fact, Flow, HttpCall, LogLine, MASK, MASKED_IN_REQUESTS, Mismatch, Outcome, Place, Reply, Retraced,
    RetracedStep, StepInfo, WaitToken,
};
use hookflow_store::{Inbound, Journal, RunStatus};
use hookflow_text::Json;
use hookflow_trigger::Event;
use http::header::{HeaderMap, HeaderName};
use serde_json::json;
use std::sync::Arc;

/// How many steps are shown; a loop has as many as it has turns.
const STEPS: usize = 1_000;
/// How many lines of the log are shown.
const LINES: usize = 1_000;

/// All that is known of a run.
pub(super) struct RunJson {
    pub(super) journal: Journal,
    /// The flow at the run's version and what it did, if it has begun; or why that cannot be said.
    pub(super) retraced: Result<(Arc<Flow>, Option<Retraced>), String>,
    /// The runs that run its event again.
    pub(super) replays: Vec<Arc<str>>,
    /// What it has emitted, as it is kept.
    pub(super) emitted: Json,
}

impl RunJson {
    pub(super) fn write(&self) -> Json {
        let mut room = Room::default();
        let (run, progress) = (&self.journal.run, &self.journal.run.progress);
        let ended = progress.ended.as_ref();
        let status = match (ended.map(|ended| &*ended.end), progress.parked) {
            (Some(End::Succeeded(_)), _) => RunStatus::Succeeded,
            (Some(End::Failed(_)), _) => RunStatus::Failed,
            (None, Some(_)) => RunStatus::Waiting,
            (None, None) => RunStatus::Running,
        };
        let (value, error) = match ended.map(|ended| &*ended.end) {
            Some(End::Succeeded(value)) => (room.show(value), Json::Null),
            Some(End::Failed(fault)) => (Json::Null, fault.to_json()),
            None => (Json::Null, Json::Null),
        };
        let is_cancelled = self.journal.inbox.iter().any(|it| matches!(it, Inbound::Cancel { .. }));
        let mut shown = json!({
            "run": &*run.run,
            "flow": &*run.flow,
            "status": word(status),
            "attempt": run.attempt,
            "started_at": run.started_at.to_string(),
            "begun_at": progress.begun_at.map(|at| at.to_string()),
            "waits_until": progress.parked.and_then(|parked| parked.until).map(|until| until.to_string()),
            "ended_at": ended.map(|ended| ended.at.to_string()),
            "version": &*progress.version,
            "node": &*self.journal.node,
            "replays": run.replays.as_deref(),
            "replayed_by": self.replays.iter().map(|run| &**run).collect::<Vec<_>>(),
            "cancel_asked": is_cancelled && ended.is_none(),
            "error": error,
            "value": value,
            "request": request(&run.event, &mut room),
            "emitted": self.emitted,
            "mismatches": self.mismatches(),
            "answer": progress.reply.as_deref().map(|reply| answer(reply, &mut room)),
        });
        if let Json::Object(shown) = &mut shown {
            self.write_steps(shown, &mut room);
        }
        mask(&mut shown);
        shown
    }

    /// Where the event is not as its webhook expects.
    fn mismatches(&self) -> Vec<Json> {
        let flow = self.retraced.as_ref().ok().map(|(flow, _)| flow);
        let found =
            flow.and_then(|flow| flow.expects()).map(|expects| expects.check(&self.journal.run.event));
        let found = found.into_iter().flatten();
        found.map(|Mismatch { at, expected }| json!({"at": at, "expected": expected})).collect()
    }

    fn write_steps(&self, shown: &mut serde_json::Map<String, Json>, room: &mut Room) {
        let (mut steps, mut more, mut log, mut why) = (Vec::new(), 0, Vec::new(), None);
        match &self.retraced {
            Err(unknown) => {
                why = Some(unknown.clone());
                let facts = &self.journal.run.progress.facts;
                steps.extend(facts.iter().take(STEPS).map(|fact| bare(fact, room)));
                more = facts.len().saturating_sub(STEPS);
            }
            Ok((_, None)) => {}
            Ok((flow, Some(retraced))) => {
                if retraced.unasked > 0 {
                    why = Some(format!("{} outcomes do not fit the version", retraced.unasked));
                }
                let known = retraced.steps.iter().take(STEPS);
                steps.extend(known.filter_map(|(place, known)| {
                    Some(step(flow.plan.step(place.step)?, place, known, room))
                }));
                more = retraced.steps.len().saturating_sub(STEPS);
                log.extend(retraced.log.iter().take(LINES).map(|line| log_line(line, room)));
            }
        }
        shown.insert("steps".into(), steps.into());
        shown.insert("more_steps".into(), more.into());
        shown.insert("log".into(), log.into());
        shown.insert("not_computed".into(), why.into());
    }
}

fn request(event: &Event, room: &mut Room) -> Json {
    let head = event.head();
    let files = match event.get("files") {
        Some(Found::Value(files)) => room.show(&files),
        _ => Json::Null,
    };
    json!({
        "id": &**event.id(),
        "received_at": head.received_at.to_string(),
        "ip": head.ip.to_string(),
        "credential": event.credential().map(|name| &**name),
        "method": head.method.as_str(),
        "path": head.path,
        "query": room.show(event.query()),
        "headers": headers(&head.headers, &[]),
        "body": room.show(event.body()),
        "bytes": event.wire_body().len(),
        "files": files,
    })
}

fn answer(reply: &Reply, room: &mut Room) -> Json {
    let headers = reply.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()).into()));
    json!({
        "status": reply.status.as_u16(),
        "headers": headers.collect::<serde_json::Map<String, Json>>(),
        "body": room.show_bytes(&reply.body),
    })
}

fn step(info: &StepInfo, place: &Place, known: &RetracedStep, room: &mut Room) -> Json {
    let last = known.tries.last();
    let took = known.asked_at.zip(last).map(|(asked, last)| last.at.duration_since(asked).as_millis());
    json!({
        "step": &*info.name,
        "title": info.title,
        "verb": info.verb,
        "turns": place.turns,
        "in": asked(known, room),
        "asked_at": known.asked_at.map(|at| at.to_string()),
        "took_ms": took.and_then(|took| i64::try_from(took).ok()),
        "attempts": known.tries.iter().map(|fact| attempt(fact)).collect::<Vec<_>>(),
        "out": known.result.as_ref().map(|result| room.show(result)),
    })
}

/// Of a step whose plan is not to be had, its outcome is known.
fn bare(fact: &Fact, room: &mut Room) -> Json {
    let out = if let Outcome::Answered { body, .. } = &fact.outcome { room.show(body) } else { Json::Null };
    json!({
        "step": fact.place.to_string(),
        "title": null,
        "verb": fact.verb,
        "turns": fact.place.turns,
        "in": null,
        "asked_at": null,
        "took_ms": null,
        "attempts": [attempt(fact)],
        "out": out,
    })
}

fn attempt(fact: &Fact) -> Json {
    let (outcome, status, failed) = match &fact.outcome {
        Outcome::Answered { status, .. } => ("answered", Some(*status), None),
        Outcome::Slept => ("slept", None, None),
        Outcome::Resumed { .. } => ("resumed", None, None),
        Outcome::Ended(_) => ("ended", None, None),
        Outcome::Failed { kind, message } => ("failed", None, Some((kind, message))),
    };
    json!({
        "attempt": fact.attempt,
        "at": fact.at.to_string(),
        "outcome": outcome,
        "status": status,
        "kind": failed.map(|(kind, _)| kind),
        "message": failed.map(|(_, message)| message),
    })
}

/// What a step has asked the world with.
fn asked(known: &RetracedStep, room: &mut Room) -> Option<Json> {
    let call = known.call.as_ref().map(|call| sent(call, room));
    let run = || {
        let run = known.run.as_ref()?;
        Some(json!({"flow": &*run.flow, "with": room.show(&run.with), "detach": run.detach}))
    };
    let until = || Some(json!({"until": known.until?.to_string()}));
    call.or_else(run).or_else(until)
}

fn sent(call: &HttpCall, room: &mut Room) -> Json {
    json!({
        "method": call.method.as_str(),
        "integration": call.via.as_ref().map(|via| &*via.integration),
        "url": call.url.to_string(),
        "headers": headers(&call.headers, &MASKED_IN_REQUESTS),
        "body": if call.body.is_empty() { Json::Null } else { room.show_bytes(&call.body.shown()) },
    })
}

fn log_line(line: &LogLine, room: &mut Room) -> Json {
    json!({
        "step": &*line.step,
        "level": format!("{:?}", line.level).to_lowercase(),
        "text": room.show_bytes(line.text.as_bytes()),
        "fields": room.show(&Json::Object(line.fields.clone())),
    })
}

fn headers(headers: &HeaderMap, masked: &[HeaderName]) -> serde_json::Map<String, Json> {
    let mut shown = serde_json::Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter().map(|value| text(value.as_bytes()));
        let value = if masked.contains(name) { MASK.into() } else { values.collect::<Vec<_>>().join(", ") };
        shown.insert(name.as_str().to_owned(), value.into());
    }
    shown
}

/// Who sees a run is not who may go on with it.
pub(super) fn mask(value: &mut Json) {
    match value {
        Json::String(text) => {
            if let Some(masked) = WaitToken::mask(text) {
                *text = masked;
            }
        }
        Json::Array(items) => items.iter_mut().for_each(mask),
        Json::Object(map) => map.values_mut().for_each(mask),
        _ => {}
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
