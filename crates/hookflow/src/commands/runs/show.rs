//! `hookflow runs show`.

use super::list::{fault, status, took};
use super::refused;
use crate::command::{Format, Verdict, format, text};
use crate::kept::Kept;
use crate::terminal::Terminal;
use clap::ArgMatches;
use hookflow_text::Json;

/// How much of a step's value is shown; `--format json` has all of it.
const VALUE: usize = 300;
/// How much of a body is shown.
const BODY: usize = 4_000;

pub(super) fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let kept = Kept::open(matches, terminal)?;
    let shown = match kept.run(text(matches, "run").unwrap_or_default())? {
        Ok(shown) => shown,
        Err(why) => return refused(&why, terminal),
    };
    match format(matches) {
        Format::Text => write!(terminal.out, "{}", page(&shown))?,
        Format::Json => writeln!(terminal.out, "{shown:#}")?,
    }
    Ok(Verdict::Holds)
}

/// A run on a page for people: how it ended first, then the way there.
fn page(shown: &Json) -> String {
    let at = |path: &str| shown.pointer(path).filter(|value| !value.is_null());
    let word = |path: &str| at(path).map_or_else(|| "-".to_owned(), plain);
    let mut out = format!("{} of {}: {}", word("/run"), word("/flow"), status(shown));
    if at("/attempt").is_some_and(|attempt| *attempt != 1) {
        out.push_str(&format!(", attempt {}", word("/attempt")));
    }
    out.push('\n');
    if let Some(error) = at("/error") {
        out.push_str(&format!("  error     {}\n", fault(error)));
    }
    let took = took(shown.get("begun_at"), shown.get("ended_at"));
    let unlike = shown.get("mismatches").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let unlike = unlike.iter().map(|one| {
        let word = |key: &str| one.get(key).map(plain).unwrap_or_default();
        format!("{} is not {}", word("at"), word("expected"))
    });
    let unlike = unlike.collect::<Vec<_>>().join(", ");
    for (name, value) in [
        ("came", Some(word("/started_at"))),
        ("began", at("/begun_at").map(plain)),
        ("waits", at("/waits_until").map(|until| format!("until {}", plain(until)))),
        ("ended", at("/ended_at").map(|ended| format!("{}, after {took}", plain(ended)))),
        ("value", at("/value").map(|value| short(&value.to_string(), VALUE))),
        ("version", at("/version").map(|version| short(&plain(version), 12))),
        ("replays", at("/replays").map(plain)),
        ("replayed", at("/replayed_by/0").map(|_| format!("by {}", words(at("/replayed_by"))))),
        ("expects", (!unlike.is_empty()).then_some(unlike)),
        ("cancel", (at("/cancel_asked") == Some(&Json::Bool(true))).then(|| "asked for".into())),
    ] {
        if let Some(value) = value {
            out.push_str(&format!("  {name:8}  {value}\n"));
        }
    }
    out.push_str(&request(shown));
    out.push_str(&steps(shown));
    out.push_str(&emitted(shown));
    if let Some(answer) = at("/answer") {
        out.push_str(&format!("\nanswer {}\n", word("/answer/status")));
        out.push_str(&headers(answer));
        out.push_str(&body(answer));
    }
    out
}

fn request(shown: &Json) -> String {
    let Some(request) = shown.get("request") else { return String::new() };
    let word = |key: &str| request.get(key).filter(|it| !it.is_null()).map_or_else(|| "-".to_owned(), plain);
    let query = request.get("query").filter(|query| query.as_object().is_some_and(|query| !query.is_empty()));
    let mut out = format!(
        "\nrequest {} {} from {}, credential {}, {} bytes\n",
        word("method"),
        word("path"),
        word("ip"),
        word("credential"),
        word("bytes")
    );
    if let Some(query) = query {
        out.push_str(&format!("  ?{query}\n"));
    }
    out.push_str(&headers(request));
    out.push_str(&body(request));
    out
}

/// The events that it has emitted, and what became of their deliveries.
fn emitted(shown: &Json) -> String {
    let events = shown.get("emitted").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut out = String::from(if events.is_empty() { "" } else { "\nemitted\n" });
    for event in events {
        let word = |value: &Json, key: &str| value.get(key).map(plain).unwrap_or_default();
        out.push_str(&format!("  {}  {}\n", word(event, "event"), word(event, "event_id")));
        for delivery in event.get("deliveries").and_then(Json::as_array).into_iter().flatten() {
            let (to, state) = (word(delivery, "subscription"), word(delivery, "state"));
            out.push_str(&format!("    to {to}: {state}, attempts {}\n", word(delivery, "attempts")));
        }
    }
    out
}

fn steps(shown: &Json) -> String {
    let list = |key: &str| shown.get(key).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut out = String::from("\nsteps\n");
    if let Some(why) = shown.get("not_computed").and_then(Json::as_str) {
        out.push_str(&format!("  Only outcomes are known: {}\n", why.trim_end()));
    }
    for step in list("steps") {
        out.push_str(&self::step(step));
    }
    if list("steps").is_empty() {
        out.push_str("  none has a result yet\n");
    }
    if let Some(more) = shown.get("more_steps").and_then(Json::as_u64).filter(|more| *more > 0) {
        out.push_str(&format!("  … and {more} more\n"));
    }
    if !list("log").is_empty() {
        out.push_str("\nlog\n");
    }
    for line in list("log") {
        let word = |key: &str| line.get(key).map(plain).unwrap_or_default();
        out.push_str(&format!("  {:5}  {}: {}\n", word("level"), word("step"), short(&word("text"), VALUE)));
    }
    out
}

fn step(step: &Json) -> String {
    let word = |key: &str| step.get(key).map(plain).unwrap_or_default();
    let turns = step.get("turns").and_then(Json::as_array).filter(|turns| !turns.is_empty());
    let turns =
        turns.map(|turns| format!(" turn {}", words(Some(&Json::Array(turns.clone()))))).unwrap_or_default();
    let took =
        step.get("took_ms").and_then(Json::as_u64).map(|took| format!("  {took}ms")).unwrap_or_default();
    let mut out = format!("  {}{turns}  {}{took}\n", word("step"), word("verb"));
    if let Some(call) = step.get("in").filter(|call| !call.is_null()) {
        let word = |key: &str| call.get(key).filter(|it| !it.is_null()).map(plain).unwrap_or_default();
        let sent = match call.get("url") {
            Some(_) => format!("{} {} {}", word("method"), word("url"), word("body")),
            None => call.to_string(),
        };
        out.push_str(&format!("    in   {}\n", short(sent.trim_end(), VALUE)));
    }
    let attempts = step.get("attempts").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    for attempt in attempts {
        let word = |key: &str| attempt.get(key).filter(|it| !it.is_null()).map(plain);
        let failed = || Some(format!("{}: {}", word("kind")?, word("message")?));
        let became = word("status").or_else(failed).or_else(|| word("outcome")).unwrap_or_default();
        let (number, at) = (word("attempt").unwrap_or_default(), word("at").unwrap_or_default());
        out.push_str(&format!("    try  {number} at {at}  {became}\n"));
    }
    if let Some(value) = step.get("out").filter(|value| !value.is_null()) {
        out.push_str(&format!("    out  {}\n", short(&value.to_string(), VALUE)));
    }
    out
}

fn headers(of: &Json) -> String {
    let headers = of.get("headers").and_then(Json::as_object).into_iter().flatten();
    headers.fold(String::new(), |out, (name, value)| out + &format!("  {name}: {}\n", plain(value)))
}

fn body(of: &Json) -> String {
    let Some(body) = of.get("body").filter(|body| !body.is_null()) else { return String::new() };
    let written = match body {
        Json::String(text) => text.clone(),
        value => format!("{value:#}"),
    };
    let lines = short(&written, BODY);
    std::iter::once("\n".to_owned()).chain(lines.lines().map(|line| format!("  {line}\n"))).collect()
}

fn words(list: Option<&Json>) -> String {
    let items = list.and_then(Json::as_array).into_iter().flatten();
    items.map(plain).collect::<Vec<_>>().join(", ")
}

/// A value as it is said, without control characters but line breaks: what strangers sent must not write on a terminal.
pub(in super::super) fn plain(value: &Json) -> String {
    let text = match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

pub(in super::super) fn short(text: &str, longest: usize) -> String {
    let text: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    match text.char_indices().nth(longest).and_then(|(at, _)| text.get(..at)) {
        Some(start) => format!("{start}…"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_is_told_from_its_end() {
        let shown = json!({
            "run": "r-2", "flow": "shop", "status": "failed", "attempt": 2, "version": "0123456789abcdef",
            "started_at": "2026-11-20T12:00:00Z", "begun_at": "2026-11-20T12:00:01Z",
            "ended_at": "2026-11-20T12:00:03Z", "waits_until": null, "replays": "r-1", "replayed_by": ["r-3", "r-4"],
            "cancel_asked": false, "mismatches": [{"at": "body.id", "expected": "a number"}], "value": null, "not_computed": null, "more_steps": 7,
            "error": {"code": "step.http.status", "step": "stock", "message": "answered 503"},
            "request": {"method": "POST", "path": "/hook/shop", "query": {"page": "1"}, "ip": "203.0.113.9", "credential": null,
                "bytes": 8, "headers": {"content-type": "application/json"}, "body": {"id": "\u{1b}[31m"}},
            "steps": [{"step": "stock", "verb": "http", "turns": [0, 1], "took_ms": 1500,
                "in": {"method": "GET", "url": "http://a/", "headers": {}, "body": null},
                "attempts": [{"attempt": 1, "at": "T1", "status": 503}, {"attempt": 2, "at": "T2", "kind": "timeout", "message": "late"},
                    {"attempt": 3, "at": "T3", "outcome": "slept", "kind": null}],
                "out": {"ok": false}}],
            "log": [{"level": "info", "step": "2", "text": "hello"}],
            "answer": {"status": 500, "headers": {}, "body": "sorry"},
        });
        let expected = "r-2 of shop: failed, attempt 2
  error     step.http.status at `stock`: answered 503
  came      2026-11-20T12:00:00Z
  began     2026-11-20T12:00:01Z
  ended     2026-11-20T12:00:03Z, after 2.0s
  version   0123456789ab…
  replays   r-1
  replayed  by r-3, r-4
  expects   body.id is not a number

request POST /hook/shop from 203.0.113.9, credential -, 8 bytes
  ?{\"page\":\"1\"}
  content-type: application/json

  {
    \"id\": \"\\u001b[31m\"
  }

steps
  stock turn 0, 1  http  1500ms
    in   GET http://a/
    try  1 at T1  503
    try  2 at T2  timeout: late
    try  3 at T3  slept
    out  {\"ok\":false}
  … and 7 more

log
  info   2: hello

answer 500

  sorry
";
        assert_eq!(page(&shown), expected);
    }
}
