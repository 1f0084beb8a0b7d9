//! `format %% head %% body`: what any body becomes. It stays within its bounds, and the event that is kept is the
//! same event when it is read again.

use super::{NOW, head, split};
use hookflow_expr::{Found, Lookup};
use hookflow_text::{Diagnostics, Json, Source, parse};
use hookflow_trigger::{Auth, BodySpec, Credentials, Event, Means, Received, Route, decode};

/// What a webhook takes: also of what a compressed body becomes.
const LIMIT: usize = 64 << 10;
/// What the smallest part of a body may cost at most: a value of JSON takes 72 bytes, and its key as much again.
const WORST: usize = 512;

/// See the module.
pub fn run(data: &[u8]) {
    let (format, rest) = split(data);
    let (request, body) = split(rest);
    if body.len() > LIMIT {
        return;
    }
    let Some((auth, spec)) = spec(format) else { return };
    let received = Received { head: head(request), body: bytes::Bytes::copy_from_slice(body).into() };
    let Ok(authenticated) = auth.verify(received, NOW) else { return };
    let route = Route { flow: "shop".into(), ..Route::default() };
    match decode(authenticated, &spec, route, "evt-1", &mut Means::memory()) {
        Ok(event) => judge(&event),
        Err(refusal) => assert!(refusal.to_string().len() < 4_096, "a refusal as long as a body"),
    }
}

fn spec(format: &[u8]) -> Option<(Auth, BodySpec)> {
    let mut diagnostics = Diagnostics::default();
    let open = parse(&Source::new("flow.yaml", "none"), &mut diagnostics)?;
    let auth = Auth::load(&open, &Credentials::default(), &mut diagnostics)?;
    let name = std::str::from_utf8(format).ok()?.to_owned();
    let word = parse(&Source::new("flow.yaml", name), &mut diagnostics);
    let spec = BodySpec::load(word.as_ref(), None, None, LIMIT as u64, &mut diagnostics);
    Some((auth, spec.unwrap_or_else(|| BodySpec::auto(LIMIT as u64))))
}

fn judge(event: &Event) {
    let most = 2 * LIMIT * WORST;
    assert!(event.body_weight() <= most, "a body takes {} bytes", event.body_weight());
    let text = event.body().to_string();
    let again: Json = serde_json::from_str(&text).expect("a value is JSON");
    assert_eq!(again.to_string(), text, "a value changes when it is written");
    let (shown, record) = (everything(event), event.to_record());
    let kept =
        Event::from_record(record, &mut Means::memory()).expect("an event that was taken can be read again");
    assert_eq!(everything(&kept), shown, "an event changes when it is kept");
}

fn everything(event: &Event) -> Vec<String> {
    let mut all = Vec::new();
    for name in Event::NAMES {
        match event.get(name) {
            Some(Found::Value(value)) => all.push(format!("{name} {value}")),
            Some(Found::Part(part)) => all.extend(part.names().iter().map(|key| match part.get(key) {
                Some(Found::Value(value)) => format!("{name}.{key} {value}"),
                _ => format!("{name}.{key}"),
            })),
            _ => all.push(name.to_owned()),
        }
    }
    all
}
