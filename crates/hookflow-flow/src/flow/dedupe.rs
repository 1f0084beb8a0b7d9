//! A webhook's `dedupe:`: by what an event is known again. A second event with the same key is a duplicate.

use super::{EventKey, Foreseen};
use hookflow_text::{Code, Diagnostics, Fields, Key, MapSchema, Node, Schema, Span, duration_in_words};
use hookflow_trigger::{Auth, Event};
use jiff::Timestamp;
use std::borrow::Cow;
use std::time::Duration;

/// How long a key is remembered after the run has ended, unless the flow says otherwise.
const DEFAULT_WINDOW: Duration = Duration::from_hours(24);

pub(super) static DEDUPE: MapSchema = MapSchema {
    name: "dedupe",
    about: "By what an event is known again: a second one runs nothing and hears the first answer.",
    keys: Cow::Borrowed(&[
        Key::must(
            "key",
            Schema::Text,
            "a template over the event; when it gives nothing, the event is nobody's duplicate",
        ),
        Key::may("window", Schema::DURATION, "how long a key is remembered after the run has ended (24h)"),
    ]),
    rules: &[],
};

/// By what an event is known again.
#[derive(Debug)]
pub struct Dedupe {
    key: EventKey,
    /// How long a key is remembered after the run has ended.
    pub window: Duration,
}

impl Dedupe {
    /// `auth`: who sends, and so for how long an event may come again.
    pub(super) fn load(
        node: &Node,
        auth: Option<&Auth>,
        foreseen: &Foreseen,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let mut fields = Fields::of(node, "a `dedupe`", diagnostics)?;
        let key_node = fields.require("key", diagnostics);
        let window_node = fields.take("window");
        let window = window_node.map_or(Some(DEFAULT_WINDOW), |node| node.as_duration(diagnostics));
        fields.finish(diagnostics);
        if let Some(window) = window {
            let span = window_node.map_or_else(|| node.key_span(), |node| node.span.clone());
            warn_of_late_repeats(window, &span, auth, diagnostics);
        }
        let key = EventKey::load(key_node?, Code("webhook.dedupe"), foreseen, diagnostics)?;
        Some(Self { key, window: window? })
    }

    /// The event's key; `None` when it is missing, null or empty: then the event is nobody's duplicate.
    pub fn key(&self, event: &Event, now: Timestamp) -> Option<String> {
        self.key.of(event, now)
    }
}

/// A key that is forgotten while its sender still tries again lets the same event in twice.
fn warn_of_late_repeats(window: Duration, span: &Span, auth: Option<&Auth>, diagnostics: &mut Diagnostics) {
    let credentials = auth.map(Auth::credentials).unwrap_or_default();
    let presets = credentials.iter().filter_map(|credential| credential.preset());
    let Some((preset, retries)) = presets
        .filter_map(|preset| Some((preset, preset.retries()?)))
        .max_by_key(|(_, retries)| *retries)
        .filter(|(_, retries)| *retries > window)
    else {
        return;
    };
    let (sender, retries) = (preset.sender(), duration_in_words(retries));
    diagnostics
        .warning(
            Code("webhook.dedupe-window"),
            span,
            format!(
                "{sender} sends an event again for up to {retries}, and after {} it is taken for a new one",
                duration_in_words(window)
            ),
        )
        .help(format!("write `window: {retries}`"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookflow_text::{Json, Source, parse};
    use hookflow_trigger::{BodySpec, Params, Route, Sample, SampleBody};
    use serde_json::json;

    fn load(yaml: &str) -> (Option<Dedupe>, Vec<&'static str>) {
        let mut diagnostics = Diagnostics::default();
        let node = parse(&Source::new("a.yaml", yaml), &mut diagnostics).unwrap();
        (Dedupe::load(&node, None, &Foreseen::default(), &mut diagnostics), diagnostics.codes())
    }

    fn key(yaml: &str, body: Json) -> Option<String> {
        let sample = Sample { body: SampleBody::Value(body), ..Sample::default() };
        let route =
            Route { flow: "f".into(), suffix: String::new(), params: Params::default(), system: None };
        let at = "2026-11-20T12:00:00Z".parse().unwrap();
        let base = "https://hooks.example".into();
        let event = Event::of_sample(sample, &BodySpec::auto(1 << 20), route, "e", at, base).unwrap();
        load(yaml).0.unwrap().key(&event, at)
    }

    #[test]
    fn a_key_is_text_and_its_absence_is_no_key() {
        let id = "key: '${ webhook.body.id }'";
        for (body, expected) in [
            (json!({"id": "A-1"}), Some("A-1")),
            (json!({"id": 10.5}), Some("10.5")),
            (json!({"id": [1, "x"]}), Some("[1,\"x\"]")),
            (json!({"id": null}), None),
            (json!({"id": ""}), None),
            (json!({}), None),
            (json!(3), None),
        ] {
            assert_eq!(key(id, body.clone()).as_deref(), expected, "{body}");
        }
        assert_eq!(
            key("key: '${ webhook.body.a }-${ webhook.body.b }'", json!({"a": 1, "b": 2})).unwrap(),
            "1-2"
        );
        let long = key(id, json!({"id": "x".repeat(5_000)})).unwrap();
        assert!(long.starts_with("sha256:") && long.len() == 71, "{long}");
    }

    #[test]
    fn mistakes_are_told() {
        for (yaml, code) in [
            ("window: 1h", "yaml.missing-key"),
            ("key: webhook.body.id", "webhook.dedupe"),
            ("key: '${ steps.a }'", "expr.unknown-name"),
            ("key: '${ webhook.bodi }'", "expr.unknown-name"),
            ("{key: '${ webhook.id }', window: long}", "yaml.type"),
        ] {
            assert_eq!(load(yaml).1, [code], "{yaml}");
        }
        assert_eq!(load("key: '${ webhook.id }'").0.unwrap().window, DEFAULT_WINDOW);
    }
}
