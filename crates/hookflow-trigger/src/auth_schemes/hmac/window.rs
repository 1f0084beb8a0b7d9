//! The sender's timestamp: where it stands, how it is written, and how far from now it may be.

use super::algorithm::word;
use super::material::{Material, PLACE, Place};
use super::signature::Signature;
use crate::auth_scheme::Reason;
use hookflow_text::{Code, Diagnostics, Fields, Key, MapSchema, Node, Rule, Schema};
use jiff::{SignedDuration, Timestamp};
use std::borrow::Cow;
use std::time::Duration;

/// How long senders' own libraries accept a signature, where they say.
const DEFAULT_TOLERANCE: Duration = Duration::from_mins(5);
/// More digits than a time in milliseconds needs for a long while.
const MAX_DIGITS: usize = 16;

pub(super) static TIMESTAMP: MapSchema = MapSchema {
    name: "timestamp",
    about: "Where the sender's timestamp stands, how it is written, and how far from now it may be.",
    keys: Cow::Borrowed(&{
        let [header, json, form] = PLACE;
        [
            header,
            json,
            form,
            Key::may("kv", Schema::Text, "its key, when the signature stands in a list of keys and values"),
            Key::may("format", Schema::Listed(formats), "how it is written (unix)"),
            Key::may(
                "tolerance",
                Schema::AnyOf(&[Schema::DURATION, Schema::Word(&["none"])]),
                "how old or new it may be; `none`: any time passes (5m)",
            ),
        ]
    }),
    rules: &[Rule::One(&["header", "json", "form", "kv"])],
};

fn formats() -> Vec<(String, String)> {
    FORMATS.iter().map(|(name, _)| ((*name).to_owned(), String::new())).collect()
}

/// A signed timestamp and its tolerance, in both directions.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) source: TimeSource,
    format: TimeFormat,
    /// `None`: any time passes.
    pub(super) tolerance: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TimeSource {
    At(Place),
    /// Under this key of the list that holds the signature.
    Beside(String),
}

#[derive(Debug, Clone, Copy)]
enum TimeFormat {
    Unix,
    UnixMs,
    Rfc3339,
}

const FORMATS: [(&str, TimeFormat); 3] =
    [("rfc3339", TimeFormat::Rfc3339), ("unix", TimeFormat::Unix), ("unix_ms", TimeFormat::UnixMs)];

impl Window {
    pub(super) fn load(node: &Node, signature: &Signature, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "a `timestamp`", diagnostics)?;
        let beside = fields.take("kv");
        let place = Place::load(&mut fields, diagnostics);
        let source = match (beside, place) {
            (Some(node), None) if signature.is_kv() => {
                node.as_str(diagnostics).map(|key| TimeSource::Beside(key.to_owned()))
            }
            (None, Some(place)) => Some(TimeSource::At(place)),
            _ => {
                diagnostics.error(Code("auth.place"), &node.span, "a timestamp stands in one place").help(
                    "write one of `header`, `json`, `form`, or `kv` when the signature has that layout",
                );
                None
            }
        };
        let format =
            fields.take("format").map_or(Some(TimeFormat::Unix), |node| word(node, &FORMATS, diagnostics));
        let tolerance = match fields.take("tolerance") {
            None => Some(Some(DEFAULT_TOLERANCE)),
            Some(node) if node.plain() == Some("none") => Some(None),
            Some(node) => node.as_duration(diagnostics).map(Some),
        };
        fields.finish(diagnostics);
        Some(Self { source: source?, format: format?, tolerance: tolerance? })
    }

    /// The timestamp exactly as sent, when it is near enough to now.
    pub(super) fn read(
        &self,
        signature: &Signature,
        material: &Material<'_>,
        now: Timestamp,
    ) -> Result<String, Reason> {
        let text = match &self.source {
            TimeSource::At(place) => place.read(material)?,
            TimeSource::Beside(key) => signature.companion(key, material)?,
        };
        let age = self.age(&text, now).ok_or_else(|| Reason::Unreadable("the timestamp".into()))?;
        if let Some(tolerance) = self.tolerance {
            near_enough(age, tolerance)?;
        }
        Ok(text)
    }

    /// How old it is; compared in the sender's own unit.
    fn age(&self, text: &str, now: Timestamp) -> Option<SignedDuration> {
        let whole = || {
            let sound = text.len() <= MAX_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<i64>().ok().filter(|_| sound)
        };
        Some(match self.format {
            TimeFormat::Unix => SignedDuration::from_secs(now.as_second() - whole()?),
            TimeFormat::UnixMs => SignedDuration::from_millis(now.as_millisecond() - whole()?),
            TimeFormat::Rfc3339 => now.duration_since(text.parse::<Timestamp>().ok()?),
        })
    }

    /// A time as this sender writes it.
    pub(super) fn write(&self, now: Timestamp) -> String {
        match self.format {
            TimeFormat::Unix => now.as_second().to_string(),
            TimeFormat::UnixMs => now.as_millisecond().to_string(),
            TimeFormat::Rfc3339 => now.to_string(),
        }
    }
}

/// Holds an age against a tolerance, in both directions.
pub(super) fn near_enough(age: SignedDuration, tolerance: Duration) -> Result<(), Reason> {
    let away = age.unsigned_abs();
    let Some(over) = away.checked_sub(tolerance).filter(|over| !over.is_zero()) else { return Ok(()) };
    // Rounded up: nothing is too old by 0 s.
    let over = over.as_secs() + u64::from(over.subsec_nanos() > 0);
    let seconds = away.as_secs();
    Err(if age.is_positive() {
        Reason::TooOld { age: seconds, over }
    } else {
        Reason::TooNew { ahead: seconds, over }
    })
}
