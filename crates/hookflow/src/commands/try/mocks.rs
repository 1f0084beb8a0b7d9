//! What calls are answered with in a trial: `--mock STEP=JSON`.

use anyhow::{Context as _, bail};
use hookflow_flow::{Ask, End, FaultKind, HttpCall, Outcome, SubRun, Waiting, World};
use hookflow_text::{Json, nearest};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::collections::{BTreeMap, BTreeSet};

const KEYS: &[&str] = &["headers", "json", "status", "text", "timeout"];

/// The answers of each step, and which steps had none.
#[derive(Debug, Default)]
pub(super) struct Mocks {
    by_step: BTreeMap<String, Vec<Mock>>,
    unmocked: BTreeSet<String>,
}

#[derive(Debug, Clone)]
enum Mock {
    Answer { status: StatusCode, headers: HeaderMap, body: Vec<u8>, value: Json },
    Timeout,
}

impl Mocks {
    /// Reads `stock={"status": 201}` and returns the step's name.
    pub(super) fn add(&mut self, text: &str) -> anyhow::Result<String> {
        let (step, json) = text.split_once('=').context("a mock is written as STEP=JSON")?;
        let value: Json = serde_json::from_str(json)
            .with_context(|| format!("what stands behind `{step}=` is not JSON"))?;
        let entries = match value {
            Json::Array(entries) => entries,
            one => vec![one],
        };
        let read = |entry| Mock::read(entry).with_context(|| format!("the mock of `{step}`"));
        let mocks: Vec<_> = entries.into_iter().map(read).collect::<anyhow::Result<_>>()?;
        if mocks.is_empty() {
            bail!("the mock of `{step}` is an empty list");
        }
        self.by_step.insert(step.to_owned(), mocks);
        Ok(step.to_owned())
    }

    /// What a try of a step is answered with; the last mock repeats.
    fn of(&self, ask: &Ask) -> Option<&Mock> {
        let mocks = self.by_step.get(&*ask.step)?;
        let nth = usize::try_from(ask.attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        mocks.get(nth).or(mocks.last())
    }

    /// The steps whose calls had no mock.
    pub(super) fn unmocked(&self) -> BTreeSet<String> {
        self.unmocked.clone()
    }
}

impl World for Mocks {
    fn call(&mut self, ask: &Ask, call: &HttpCall) -> Outcome {
        match self.of(ask) {
            Some(Mock::Answer { status, headers, body, .. }) => call.answered(*status, headers, body),
            Some(Mock::Timeout) => timeout(),
            None => {
                self.unmocked.insert(ask.step.to_string());
                call.answered(StatusCode::OK, &HeaderMap::new(), b"")
            }
        }
    }

    fn resume(&mut self, ask: &Ask, _: &Waiting) -> Option<Outcome> {
        Some(match self.of(ask)? {
            Mock::Timeout => timeout(),
            Mock::Answer { headers, value, .. } => Outcome::Resumed {
                method: "POST".into(),
                headers: headers
                    .iter()
                    .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
                    .collect(),
                query: serde_json::json!({}),
                body: value.clone(),
                files: serde_json::json!([]),
            },
        })
    }

    fn run(&mut self, ask: &Ask, _: &SubRun) -> Option<Outcome> {
        Some(match self.of(ask)? {
            Mock::Timeout => timeout(),
            Mock::Answer { value, .. } => Outcome::Ended(End::Succeeded(value.clone())),
        })
    }
}

fn timeout() -> Outcome {
    Outcome::Failed { kind: FaultKind::Timeout, message: "the mock is a timeout".into() }
}

impl Mock {
    fn read(value: Json) -> anyhow::Result<Self> {
        let Json::Object(map) = value else {
            bail!("is not a map such as {{\"status\": 200, \"json\": null}}")
        };
        if let Some(unknown) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let near = nearest(unknown, KEYS.iter().copied()).map(|near| format!(": did you mean `{near}`?"));
            bail!("has an unknown key `{unknown}`{}", near.unwrap_or_default());
        }
        if map.get("timeout").is_some_and(|timeout| *timeout == Json::Bool(true)) {
            return Ok(Self::Timeout);
        }
        let status = match map.get("status") {
            None => StatusCode::OK,
            Some(status) => status
                .as_u64()
                .and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok())
                .with_context(|| format!("has the status {status}, which is none"))?,
        };
        let mut headers = HeaderMap::new();
        if let Some(given) = map.get("headers") {
            let given = given.as_object().context("has `headers` that are not a map")?;
            for (name, value) in given {
                let name = HeaderName::from_bytes(name.as_bytes())
                    .with_context(|| format!("has a header `{name}`"))?;
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                headers
                    .append(name, HeaderValue::from_str(&text).context("has a header value that is none")?);
            }
        }
        let value = map.get("json").or(map.get("text")).cloned().unwrap_or_default();
        let (media_type, body) = match (map.get("json"), map.get("text").and_then(Json::as_str)) {
            (Some(_), Some(_)) => bail!("has two bodies: `json` and `text`"),
            (Some(json), None) => (Some("application/json"), json.to_string()),
            (None, Some(text)) => (Some("text/plain; charset=utf-8"), text.to_owned()),
            (None, None) => (None, String::new()),
        };
        if let Some(media_type) = media_type {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(media_type));
        }
        Ok(Self::Answer { status, headers, body: body.into_bytes(), value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mocks_are_held_to_their_form() {
        for good in [
            r#"stock={"status":201,"json":{"id":"E9"}}"#,
            r#"stock=[{"timeout":true},{"text":"ok","headers":{"X-A":1}}]"#,
            "stock={}",
        ] {
            assert_eq!(Mocks::default().add(good).unwrap(), "stock", "{good}");
        }
        for (bad, why) in [
            ("stock", "STEP=JSON"),
            ("stock={", "not JSON"),
            ("stock=5", "not a map"),
            ("stock=[]", "empty list"),
            (r#"stock={"stauts":1}"#, "did you mean `status`?"),
            (r#"stock={"status":99999}"#, "which is none"),
            (r#"stock={"json":1,"text":"a"}"#, "two bodies"),
            (r#"stock={"headers":{"a b":"c"}}"#, "header"),
        ] {
            let error = format!("{:#}", Mocks::default().add(bad).unwrap_err());
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
