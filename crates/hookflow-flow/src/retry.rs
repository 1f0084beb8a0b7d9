//! `retry`: which outcomes are worth another try, and when it is made.

use crate::{Fault, FaultKind, Outcome, StatusSet};
use hookflow_text::{Diagnostics, Fields, Json, Key, MapSchema, Node, Schema, parse_duration};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize as _;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::time::Duration;

/// The most tries that a step may have.
const MOST_TRIES: u64 = 100;
/// The longest that tries may go on.
const LONGEST: Duration = Duration::from_hours(24 * 30);
/// What `on` may name besides statuses.
const KINDS: &[&str] =
    &["auth", "connect", "parse", "rate_limited", "refused", "timeout", "tls", "too_large"];

/// When a step is tried again.
pub(crate) static RETRY: MapSchema = MapSchema {
    name: "retry",
    about: "When a step is tried again. By itself it means the values in brackets.",
    keys: Cow::Borrowed(&[
        Key::may("tries", Schema::Integer(1, MOST_TRIES), "how often it is tried in all (3)"),
        Key::may(
            "on",
            Schema::List(&Schema::AnyOf(&[
                Schema::Integer(100, 599),
                Schema::Like("^[1-5](xx|[0-9][0-9])$"),
                Schema::Word(KINDS),
            ])),
            "after which outcomes: statuses, classes of them and error kinds ([5xx, 429, timeout, connect])",
        ),
        Key::may(
            "backoff",
            Schema::Like(r"^[0-9]+(ms|s|m|h|d)([.][.][0-9]+(ms|s|m|h|d))?$"),
            "the first and the longest pause; they double (500ms..30s)",
        ),
        Key::may(
            "within",
            Schema::DURATION,
            "counted from the first try, no try begins later than this (6m)",
        ),
    ]),
    rules: &[],
};

/// When a step is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Retry {
    /// How often it is tried in all.
    tries: u32,
    statuses: StatusSet,
    kinds: Vec<FaultKind>,
    pauses: Pauses,
    /// Counted from the first try, no try begins later than this.
    within: Duration,
}

/// How long the pauses between tries are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pauses {
    /// They double, from the first to the longest.
    Doubling(Duration, Duration),
    /// Each takes its part of what is left of the window.
    Spread,
}

/// Of what is left of the window, the part that passes before the second try, the third and the fourth. Each pause is
/// about twice the former one, and the last longer than a minute, so a limit per minute is survived; an eighth of the
/// window is left over at the end.
const SPREAD: [(u32, u32); 3] = [(1, 8), (2, 7), (4, 5)];
/// The least such pause, however little is left.
const LEAST: Duration = Duration::from_secs(1);

impl Default for Retry {
    fn default() -> Self {
        Self {
            tries: 3,
            statuses: StatusSet::of(&[(500, 599), (429, 429)]),
            kinds: vec![FaultKind::Timeout, FaultKind::Connect],
            pauses: Pauses::Doubling(Duration::from_millis(500), Duration::from_secs(30)),
            within: Duration::from_mins(6),
        }
    }
}

/// What is known when a try has failed.
pub(crate) struct Failed<'f> {
    pub fault: &'f Fault,
    /// Which try it was, from 1.
    pub attempt: u32,
    /// When the step began.
    pub since: Timestamp,
    /// When this try failed.
    pub at: Timestamp,
    /// The deadline of everything around the step.
    pub deadline: Option<Timestamp>,
    /// What the other side asked for.
    pub retry_after: Option<Duration>,
    /// The chance of the step's place.
    pub chance: [u8; 32],
}

impl Retry {
    /// When a call is tried again that carries a transactional ID: three more times within six minutes, after an answer
    /// that says that it was not its fault.
    pub fn of_a_transaction() -> Self {
        Self { tries: 4, kinds: Vec::new(), pauses: Pauses::Spread, ..Self::default() }
            .of_what_is_known_again()
    }

    /// A call that the other side knows again is also made again when the service went down while it was under way.
    pub fn of_what_is_known_again(mut self) -> Self {
        self.kinds.push(FaultKind::Interrupted);
        self
    }

    /// Reads `retry: {tries: 3, on: [5xx, 429, timeout, connect], backoff: 500ms..30s, within: 6m}`.
    pub fn load(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "a `retry`", diagnostics)?;
        let mut retry = Self::default();
        let tries = fields.take("tries").map(|node| node.as_integer(1, MOST_TRIES, diagnostics));
        let on = fields.take("on").map(|node| read_on(node, diagnostics));
        let backoff = fields.take("backoff").map(|node| read_backoff(node, diagnostics));
        let within = fields.take("within").map(|node| node.as_duration(diagnostics));
        fields.finish(diagnostics);
        if let Some(tries) = tries {
            retry.tries = u32::try_from(tries?).ok()?;
        }
        if let Some(on) = on {
            (retry.statuses, retry.kinds) = on?;
        }
        if let Some(backoff) = backoff {
            let (first, longest) = backoff?;
            retry.pauses = Pauses::Doubling(first, longest);
        }
        if let Some(within) = within {
            retry.within = within?.min(LONGEST);
        }
        Some(retry)
    }

    /// When the next try is made; `None` when there is none.
    pub fn next(&self, failed: &Failed<'_>) -> Option<Timestamp> {
        let Failed { fault, attempt, since, at, deadline, retry_after, chance } = failed;
        let worth = match fault.status {
            Some(status) if fault.kind == FaultKind::Status => self.statuses.contains(status),
            _ => self.kinds.contains(&fault.kind),
        };
        if !worth || *attempt >= self.tries {
            return None;
        }
        if fault.kind == FaultKind::Interrupted {
            // It was due already, and the other side has said nothing.
            return Some(*at).filter(|at| deadline.is_none_or(|deadline| *at < deadline));
        }
        let last = since.checked_add(self.within).ok()?;
        let fits = |due: &Timestamp| *due <= last && deadline.is_none_or(|deadline| *due < deadline);
        let after = |pause: Duration| at.checked_add(pause).ok().filter(fits);
        // Who asks for no time has not said when it will be better.
        let asked_for = retry_after.filter(|wait| !wait.is_zero()).and_then(after);
        let left = deadline.map_or(last, |deadline| deadline.min(last)).duration_since(*at);
        let pause = || self.pause(*attempt, Duration::try_from(left).unwrap_or_default(), chance);
        asked_for.or_else(|| after(pause()))
    }

    /// Somewhere between a half and the whole of what the pause may be: the same place of a run always pauses alike, and
    /// no two runs do.
    fn pause(&self, attempt: u32, left: Duration, chance: &[u8; 32]) -> Duration {
        let before = attempt.saturating_sub(1);
        let whole = match self.pauses {
            Pauses::Doubling(first, longest) => {
                let doubled = 1_u32.checked_shl(before).unwrap_or(u32::MAX).max(1);
                first.saturating_mul(doubled).min(longest)
            }
            Pauses::Spread => {
                let part = usize::try_from(before).ok().and_then(|before| SPREAD.get(before));
                part.map_or(left, |(part, of)| left / *of * *part).max(2 * LEAST)
            }
        };
        let hash = Sha256::new_with_prefix(chance).chain_update(attempt.to_be_bytes()).finalize();
        let drawn = hash.iter().take(2).fold(0_u32, |drawn, byte| drawn << 8 | u32::from(*byte));
        whole / 2 + (whole / 2).saturating_mul(drawn) / 0xffff
    }
}

impl Outcome {
    /// How long the other side asks everybody to wait: by its `Retry-After`, or with a 429 that has none, for a moment.
    pub fn asks_to_wait(&self, at: Timestamp) -> Option<Duration> {
        let Self::Answered { status, headers, .. } = self else { return None };
        retry_after(headers, at).filter(|wait| !wait.is_zero()).or((*status == 429).then_some(LEAST))
    }
}

fn read_on(node: &Node, diagnostics: &mut Diagnostics) -> Option<(StatusSet, Vec<FaultKind>)> {
    let (words, statuses): (Vec<_>, Vec<_>) = node
        .as_list(diagnostics)?
        .iter()
        .partition(|item| item.text().starts_with(|first: char| first.is_ascii_alphabetic()));
    let statuses = StatusSet::read(&statuses, diagnostics)?;
    let mut kinds = Vec::new();
    for word in words {
        let word = word.one_of(KINDS, diagnostics)?;
        let kind = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(word);
        kinds.push(FaultKind::deserialize(kind).ok()?);
    }
    Some((statuses, kinds))
}

/// `500ms..30s`, or one duration for pauses that do not grow.
fn read_backoff(node: &Node, diagnostics: &mut Diagnostics) -> Option<(Duration, Duration)> {
    let text = node.as_str(diagnostics)?;
    let (first, longest) = text.split_once("..").unwrap_or((text, text));
    match (parse_duration(first), parse_duration(longest)) {
        (Ok(first), Ok(longest)) if first <= longest => Some((first, longest)),
        _ => node.mistyped("the first and the longest pause, such as `500ms..30s`", diagnostics),
    }
}

/// The dates of former days, which HTTP still knows.
const FORMER_DATES: [&str; 2] = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// How long an answer asks to wait: `Retry-After` in seconds, or as a date in any of HTTP's three forms.
pub(crate) fn retry_after(headers: &serde_json::Map<String, Json>, at: Timestamp) -> Option<Duration> {
    read_retry_after(headers.get("retry-after")?.as_str()?, at)
}

/// How long a `Retry-After` asks to wait: seconds, or a date. `None` when it is neither.
pub fn read_retry_after(text: &str, at: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let former = |form| TimeZone::UTC.to_timestamp(DateTime::strptime(form, text).ok()?).ok();
    let date = jiff::fmt::rfc2822::parse(text).ok().map(|date| date.timestamp());
    let date = date.or_else(|| FORMER_DATES.into_iter().find_map(former))?;
    Some(Duration::try_from(date.duration_since(at)).unwrap_or_default())
}

#[cfg(test)]
mod tests;
