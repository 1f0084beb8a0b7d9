//! The log of attempts as JSON, and as lines to be taken elsewhere.

use super::{History, HistoryFault, MOST, USUAL, mask};
use crate::asked::Asked;
use hookflow_flow::{Attempt, KeptBody, MASK, Outcome};
use hookflow_store::{AttemptCursor, AttemptFilter, AttemptLine, AttemptPage};
use hookflow_text::{Json, weight};
use jiff::Timestamp;
use serde_json::{Map, json};
use std::collections::BTreeMap;

/// Headers of an answer that are not shown.
const MASKED: [&str; 5] =
    ["authorization", "proxy-authenticate", "proxy-authorization", "set-cookie", "www-authenticate"];
/// The largest value of an answer that is shown whole, in bytes of memory.
const LARGEST: usize = 256 << 10;

/// How attempts are taken elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// Comma-separated values, with a line of names first.
    Csv,
    /// A JSON object in each line.
    Ndjson,
}

/// The columns of CSV, and where in an attempt each is.
const COLUMNS: [(&str, &str); 24] = [
    ("at", "/at"),
    ("run", "/run"),
    ("flow", "/flow"),
    ("version", "/version"),
    ("step", "/step"),
    ("integration", "/integration"),
    ("webhook", "/webhook"),
    ("transactional_id", "/transactional_id"),
    ("attempt", "/attempt"),
    ("method", "/request/method"),
    ("url", "/request/url"),
    ("request_headers", "/request/headers"),
    ("request_body", "/request/body"),
    ("ok", "/ok"),
    ("outcome", "/outcome"),
    ("status", "/status"),
    ("kind", "/kind"),
    ("message", "/message"),
    ("answer_headers", "/answer/headers"),
    ("answer_body", "/answer/body"),
    ("took_ms", "/took_ms"),
    ("ended_at", "/ended_at"),
    ("id", "/id"),
    ("hops", "/hops"),
];

impl ExportFormat {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 2] = [("csv", Self::Csv), ("ndjson", Self::Ndjson)];

    /// What stands before the first line.
    pub fn head(self) -> String {
        match self {
            Self::Csv => format!("{}\r\n", COLUMNS.map(|(name, _)| name).join(",")),
            Self::Ndjson => String::new(),
        }
    }

    /// An attempt of a list as a line.
    pub fn line(self, attempt: &Json) -> String {
        match self {
            Self::Csv => {
                let cells = COLUMNS.map(|(_, at)| attempt.pointer(at).map(cell).unwrap_or_default());
                format!("{}\r\n", cells.join(","))
            }
            Self::Ndjson => format!("{attempt}\n"),
        }
    }

    /// The media type.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// A value in CSV. Text that a spreadsheet would take for a formula gets a quote before it, for strangers wrote it.
fn cell(value: &Json) -> String {
    let text = match value {
        Json::Null => return String::new(),
        Json::String(text) => text.clone(),
        Json::Bool(_) | Json::Number(_) => return value.to_string(),
        value => value.to_string(),
    };
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

impl History {
    /// A page of attempts, `{"items": […], "next": cursor or null}`, the latest first, as the fields of a query ask for it.
    ///
    /// # Errors
    /// When a field is not known or cannot be read, or the store does not answer.
    pub async fn attempts(
        &self,
        query: BTreeMap<String, String>,
        now: Timestamp,
    ) -> Result<Json, HistoryFault> {
        let mut asked = Asked::query(query);
        let filter = asked.attempts(now)?;
        let before = asked.read("before", "a cursor")?;
        let limit = asked.read("limit", "a number")?.unwrap_or(USUAL).clamp(1, MOST);
        asked.finish()?;
        let (items, next) = self.page_of_attempts(&filter, before, limit).await?;
        Ok(json!({"items": items, "next": next.map(|next| next.to_string())}))
    }

    pub(crate) async fn page_of_attempts(
        &self,
        filter: &AttemptFilter,
        before: Option<AttemptCursor>,
        limit: usize,
    ) -> Result<(Vec<Json>, Option<AttemptCursor>), HistoryFault> {
        let AttemptPage { attempts, next } = self.store.attempts(filter, before, limit).await?;
        let shown = move || attempts.iter().filter_map(|line| shown(line, LARGEST)).collect();
        Ok((self.tasks.blocking("history", shown).await, next))
    }

    /// All that is kept of an attempt; `None`: it is not kept.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn attempt(&self, id: &str) -> Result<Option<Json>, HistoryFault> {
        let parts = id.rsplit_once('_').and_then(|(run, number)| Some((run, number.parse().ok()?)));
        let Some((run, number)) = parts else { return Ok(None) };
        let Some(line) = self.store.attempt(run, number).await? else { return Ok(None) };
        // Of what is not small in itself, no more is kept than is shown.
        let shown = move || shown(&line, usize::MAX);
        Ok(self.tasks.blocking("history", shown).await)
    }
}

/// An attempt as it is shown. What was sent was masked when it was written; what was answered is masked here.
fn shown(line: &AttemptLine, largest: usize) -> Option<Json> {
    let fact = &line.fact;
    let attempt = fact.tried.as_deref()?;
    let failed = match &fact.outcome {
        Outcome::Failed { kind, message } => Some((kind, message)),
        _ => None,
    };
    let (status, answer) = answer(attempt, &fact.outcome, largest);
    let mut shown = json!({
        "id": format!("{}_{}", line.run, line.at.number),
        "at": attempt.began_at.to_string(),
        "run": &*line.run,
        "flow": &*line.flow,
        "version": &*line.version,
        "step": &*attempt.step,
        "integration": attempt.integration.as_deref(),
        "webhook": attempt.webhook.as_deref(),
        "transactional_id": attempt.transactional_id.as_deref(),
        "attempt": fact.attempt,
        "ok": attempt.ok,
        "outcome": if failed.is_some() { "failed" } else { "answered" },
        "status": status,
        "kind": failed.map(|(kind, _)| kind),
        "message": failed.map(|(_, message)| message),
        "took_ms": attempt.took_ms,
        "ended_at": fact.at.to_string(),
        "request": {
            "method": attempt.request.method,
            "url": attempt.request.url,
            "headers": attempt.request.headers,
            "body": body(attempt.request.body.as_ref()),
        },
        "hops": attempt.hops,
        "answer": answer,
    });
    mask(&mut shown);
    Some(shown)
}

fn answer(attempt: &Attempt, outcome: &Outcome, largest: usize) -> (Option<u16>, Json) {
    let (status, headers, body) = match (&attempt.answer, outcome) {
        (Some(answer), _) => (answer.status, &answer.headers, body(answer.body.as_ref())),
        (None, Outcome::Answered { status, headers, body, .. }) => {
            let bytes = weight(body);
            let too_large = || json!({"bytes": bytes, "not_shown": true});
            (*status, headers, if bytes > largest { too_large() } else { body.clone() })
        }
        (None, _) => return (None, Json::Null),
    };
    let shown = headers.iter().map(|(name, value)| {
        let value = if MASKED.contains(&name.as_str()) { MASK.into() } else { value.clone() };
        (name.clone(), value)
    });
    (Some(status), json!({"headers": shown.collect::<Map<_, _>>(), "body": body}))
}

/// A whole text as it is; anything else says what it is.
fn body(kept: Option<&KeptBody>) -> Json {
    match kept {
        None => Json::Null,
        Some(KeptBody { text: Some(text), sha256: None, .. }) => text.as_str().into(),
        Some(kept) => json!(kept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookflow_flow::{Fact, Place, SentRequest, StepNumber, UnreadAnswer};
    use http::{HeaderMap, HeaderValue, Method};
    use std::sync::Arc;

    fn line(answer: Option<UnreadAnswer>, outcome: Outcome) -> AttemptLine {
        let request = SentRequest::masked(
            &Method::POST,
            "https://a.example/x",
            &HeaderMap::new(),
            &"{\"a\": 1}".into(),
        );
        let began_at = Timestamp::UNIX_EPOCH;
        let attempt = Attempt {
            step: "stock".into(),
            integration: Some("warehouse".into()),
            webhook: Some("reserve".into()),
            transactional_id: None,
            began_at,
            took_ms: Some(12),
            ok: false,
            request,
            hops: Vec::new(),
            answer,
        };
        let place = Place { step: StepNumber(0), turns: Vec::new() };
        let fact =
            Fact { place, verb: "call".into(), attempt: 2, at: began_at, outcome, left: None, tried: None };
        AttemptLine {
            at: AttemptCursor { began_at, position: 1, number: 1 },
            run: "r-1".into(),
            flow: "shop".into(),
            version: "v".into(),
            fact: Arc::new(fact.tried(attempt)),
        }
    }

    #[test]
    fn an_answer_is_masked_when_it_is_shown() {
        let mut headers = HeaderMap::new();
        headers.insert("set-cookie", HeaderValue::from_static("session=quiet"));
        headers.insert("x-id", HeaderValue::from_static("7"));
        let answer = UnreadAnswer::of(200, &headers, b"<html>");
        let parse = Outcome::Failed { kind: hookflow_flow::FaultKind::Parse, message: "not JSON".into() };
        let unread = shown(&line(Some(answer.clone()), parse), LARGEST).unwrap();
        assert_eq!(
            unread["answer"],
            json!({"headers": {"set-cookie": "***", "x-id": "7"}, "body": "<html>"})
        );
        assert_eq!((&unread["status"], &unread["kind"]), (&json!(200), &json!("parse")));
        let read = Outcome::Answered {
            status: 503,
            headers: answer.headers,
            body: json!({"why": "x"}),
            captures: Map::new(),
        };
        let read = shown(&line(None, read), LARGEST).unwrap();
        assert_eq!(read["answer"]["headers"]["set-cookie"], "***");
        assert_eq!((&read["answer"]["body"], &read["status"]), (&json!({"why": "x"}), &json!(503)));
        let large = Outcome::Answered {
            status: 200,
            headers: Map::new(),
            body: json!("x".repeat(LARGEST + 1)),
            captures: Map::new(),
        };
        assert_eq!(shown(&line(None, large.clone()), LARGEST).unwrap()["answer"]["body"]["not_shown"], true);
        let whole = shown(&line(None, large), usize::MAX).unwrap();
        assert_eq!(whole["answer"]["body"].as_str().map(str::len), Some(LARGEST + 1));
    }

    #[test]
    fn a_line_is_csv_or_json() {
        let outcome = Outcome::Failed {
            kind: hookflow_flow::FaultKind::Timeout,
            message: "=HYPERLINK(\"http://evil\")".into(),
        };
        let shown = shown(&line(None, outcome), LARGEST).unwrap();
        let csv = ExportFormat::Csv.line(&shown);
        assert_eq!(csv.matches("\r\n").count(), 1);
        assert!(csv.contains(",\"'=HYPERLINK(\"\"http://evil\"\")\","), "{csv}");
        assert!(csv.contains(",\"{\"\"a\"\": 1}\",false,failed,,timeout,"), "{csv}");
        assert_eq!(ExportFormat::Csv.head().split(',').count(), COLUMNS.len());
        let ndjson = ExportFormat::Ndjson.line(&shown);
        assert_eq!(serde_json::from_str::<Json>(&ndjson).unwrap(), shown);
        assert!(ndjson.ends_with("}\n") && ndjson.lines().count() == 1);
    }
}
