//! What is asked for, in a query or in a JSON body: fields with a name, each read once; what nobody reads is a mistake,
//! so that a filter with a typing error does not mean everything.

use crate::HistoryFault;
use crate::problem::problem;
use axum::http::StatusCode;
use axum::response::Response;
use hookflow_store::{AttemptFilter, RunFilter, RunStatus};
use hookflow_text::{Code, Json, Rate, parse_duration};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::str::FromStr;

/// Fields by name.
#[derive(Debug, Default)]
pub(crate) struct Asked(BTreeMap<String, String>);

/// What is wrong with them, for people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong(String);

impl Wrong {
    pub(crate) fn of(why: &str) -> Self {
        Self(why.to_owned())
    }

    pub(crate) fn into_problem(self) -> Response {
        problem(StatusCode::BAD_REQUEST, Code("ops.query"), &self.0)
    }
}

impl From<Wrong> for HistoryFault {
    fn from(Wrong(why): Wrong) -> Self {
        Self::Query(why)
    }
}

impl Asked {
    /// The fields of a query.
    pub(crate) fn query(fields: BTreeMap<String, String>) -> Self {
        Self(fields)
    }

    /// The fields of a JSON object; no body is an object without any. Null is as if it were not written.
    pub(crate) fn body(body: &[u8]) -> Result<Self, Wrong> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let Ok(Json::Object(fields)) = serde_json::from_slice(body) else {
            return Err(Wrong("the body is not a JSON object".into()));
        };
        let fields = fields.into_iter().filter_map(|(name, value)| match value {
            Json::Null => None,
            Json::String(text) => Some((name, text)),
            other => Some((name, other.to_string())),
        });
        Ok(Self(fields.collect()))
    }

    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// A field without which there is nothing to do.
    pub(crate) fn needed(&mut self, name: &str) -> Result<String, Wrong> {
        self.text(name).ok_or_else(|| Wrong(format!("`{name}` is missing")))
    }

    /// `10/s`.
    pub(crate) fn rate(&mut self, name: &str) -> Result<Option<Rate>, Wrong> {
        let Some(text) = self.text(name) else { return Ok(None) };
        Rate::parse(&text).map(Some).map_err(|why| Wrong(format!("`{name}`: {why}")))
    }

    /// A field whose text is the value's.
    pub(crate) fn read<T: FromStr>(&mut self, name: &str, what: &str) -> Result<Option<T>, Wrong> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Wrong(format!("`{name}` is not {what}")))
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Wrong> {
        self.text(name).map(|text| Self::one_of(name, &text, words)).transpose()
    }

    /// The value of a word.
    pub(crate) fn one_of<T: Copy>(name: &str, text: &str, words: &[(&str, T)]) -> Result<T, Wrong> {
        let found = words.iter().find(|(word, _)| *word == text);
        let known = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        found.map(|(_, value)| *value).ok_or_else(|| Wrong(format!("`{name}` is one of {}", known())))
    }

    /// A moment, or how long ago it was.
    pub(crate) fn moment(&mut self, name: &str, now: Timestamp) -> Result<Option<Timestamp>, Wrong> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let ago = || parse_duration(&text).ok().and_then(|ago| now.checked_sub(ago).ok());
        text.parse().ok().or_else(ago).map(Some).ok_or_else(|| {
            Wrong(format!("`{name}` is a moment such as 2026-11-20T12:00:00Z, or how long ago: `2h`"))
        })
    }

    /// Which runs.
    pub(crate) fn filter(&mut self, now: Timestamp) -> Result<RunFilter, Wrong> {
        Ok(RunFilter {
            flow: self.text("flow").map(Into::into),
            status: self.word("status", &STATUSES.map(|status| (word(status), status)))?,
            since: self.moment("since", now)?,
            until: self.moment("until", now)?,
            search: self.text("search").filter(|text| !text.is_empty()),
        })
    }

    /// Which attempts.
    pub(crate) fn attempts(&mut self, now: Timestamp) -> Result<AttemptFilter, Wrong> {
        Ok(AttemptFilter {
            run: self.text("run").map(Into::into),
            flow: self.text("flow").map(Into::into),
            integration: self.text("integration").map(Into::into),
            failed: self.word("failed", &[("false", false), ("true", true)])?.unwrap_or(false),
            since: self.moment("since", now)?,
            until: self.moment("until", now)?,
        })
    }

    /// That nothing is left.
    pub(crate) fn finish(self) -> Result<(), Wrong> {
        match self.0.keys().next() {
            Some(name) => Err(Wrong(format!("`{name}` is not known here"))),
            None => Ok(()),
        }
    }
}

const STATUSES: [RunStatus; 4] =
    [RunStatus::Running, RunStatus::Waiting, RunStatus::Succeeded, RunStatus::Failed];

/// How a status is written.
pub(crate) fn word(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Running => "running",
        RunStatus::Waiting => "waiting",
        RunStatus::Succeeded => "succeeded",
        RunStatus::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filter(body: &Json) -> Result<RunFilter, String> {
        let mut asked = Asked::body(body.to_string().as_bytes()).map_err(|Wrong(why)| why)?;
        let found = asked.filter(Timestamp::UNIX_EPOCH).and_then(|filter| asked.finish().map(|()| filter));
        found.map_err(|Wrong(why)| why)
    }

    #[test]
    fn a_filter_is_read_whole_or_refused() {
        let found = filter(&json!({"flow": "shop", "status": "failed", "since": "1h", "until": null,
            "search": "A-1"}));
        let expected = RunFilter {
            flow: Some("shop".into()),
            status: Some(RunStatus::Failed),
            since: Some(Timestamp::from_second(-3_600).unwrap()),
            until: None,
            search: Some("A-1".into()),
        };
        assert_eq!(found, Ok(expected));
        let at = filter(&json!({"until": "2026-11-20T12:00:00Z"})).unwrap().until;
        assert_eq!(at, Some("2026-11-20T12:00:00Z".parse().unwrap()));
        for (body, why) in [
            (json!({"stauts": "failed"}), "`stauts` is not known"),
            (json!({"status": "bad"}), "`status` is one of running, waiting, succeeded, failed"),
            (json!({"since": "soon"}), "`since` is a moment"),
            (json!([]), "not a JSON object"),
        ] {
            assert!(filter(&body).is_err_and(|found| found.contains(why)), "{body}");
        }
    }
}
