//! What an answer to a delivery means: for the delivery, and for all others to the same endpoint.

use bytes::Bytes;
use hookflow_flow::{FaultKind, read_retry_after};
use hookflow_store::{DeliveryState, Tried};
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;

/// The pauses before the next tries are up to so long: each this many times the former one.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const TIMES: u32 = 6;
const LONGEST_PAUSE: Duration = Duration::from_hours(6);
/// The longest that an endpoint can put a delivery off.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_hours(24);
/// The longest that one answer can hold up all deliveries to its endpoint.
const LONGEST_HOLD: Duration = Duration::from_mins(10);

/// How many characters of an answer are kept with its try.
const ANSWER_KEPT: usize = 256;

/// What became of a try.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    pub tried: Tried,
    /// The endpoint wants nothing any more.
    pub gone: bool,
    /// The endpoint wants nothing for so long.
    pub hold: Option<Duration>,
}

/// Judges a try: which of its delivery it was, counted from 0, and whether it was the last one.
pub(super) fn judge(
    outcome: Result<&Response<Bytes>, &(FaultKind, String)>,
    (tries, is_last): (u32, bool),
    (now, took): (Timestamp, Duration),
    chance: [u8; 2],
) -> Verdict {
    let status = outcome.ok().map(Response::status);
    let gone = status == Some(StatusCode::GONE);
    let wait = outcome.ok().and_then(|answer| {
        let text = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
        // Who asks for no time has not said when it will be better.
        read_retry_after(text, now).filter(|wait| !wait.is_zero()).map(|wait| wait.min(LONGEST_WAIT))
    });
    let state = match status {
        Some(status) if status.is_success() => DeliveryState::Delivered,
        _ if gone || is_last => DeliveryState::Failed,
        _ => DeliveryState::Pending,
    };
    let due = (state == DeliveryState::Pending).then(|| {
        let pause = wait.unwrap_or_else(|| pause(tries, chance));
        now.checked_add(pause).unwrap_or(Timestamp::MAX)
    });
    let kind = match outcome {
        Err((kind, _)) => Some(*kind),
        Ok(_) => (state != DeliveryState::Delivered).then_some(FaultKind::Status),
    };
    let told = json!({
        "at": now.to_string(),
        "status": status.map(|status| status.as_u16()),
        "kind": kind,
        "message": outcome.err().map(|(_, message)| message),
        "answer": outcome.ok().and_then(beginning),
        "took_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    });
    let is_busy = matches!(status, Some(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE));
    let hold = wait.filter(|_| is_busy).map(|wait| wait.min(LONGEST_HOLD));
    Verdict { tried: Tried { state, due, told }, gone, hold }
}

/// How an answer begins.
fn beginning(answer: &Response<Bytes>) -> Option<String> {
    // No character is longer than four bytes.
    let bytes = answer.body().iter().copied().take(ANSWER_KEPT * 4).collect::<Vec<_>>();
    let text: String = String::from_utf8_lossy(&bytes).chars().take(ANSWER_KEPT).collect();
    (!text.is_empty()).then_some(text)
}

/// Somewhere between a half and the whole of what the pause may be, so that those who failed together do not come back
/// together.
fn pause(tries: u32, chance: [u8; 2]) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(TIMES.saturating_pow(tries)).min(LONGEST_PAUSE);
    whole / 2 + (whole / 2).saturating_mul(u32::from(u16::from_be_bytes(chance))) / 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<&str>) -> Verdict {
        let mut answer = Response::builder().status(status);
        if let Some(retry_after) = retry_after {
            answer = answer.header(RETRY_AFTER, retry_after);
        }
        let answer = answer.body(Bytes::new()).unwrap();
        judge(Ok(&answer), (0, false), (now(), Duration::ZERO), [0xff, 0xff])
    }

    fn away() -> (FaultKind, String) {
        (FaultKind::Connect, "away".into())
    }

    fn now() -> Timestamp {
        "2026-11-22T08:00:00Z".parse().unwrap()
    }

    fn wait(verdict: &Verdict) -> Option<u64> {
        let due = verdict.tried.due?;
        u64::try_from(due.duration_since(now()).as_secs()).ok()
    }

    #[test]
    fn two_hundreds_are_good_and_all_else_is_tried_again_but_gone() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(answer(status, None).tried.state, DeliveryState::Delivered);
        }
        for status in [300, 301, 400, 401, 404, 409, 422, 429, 500, 503] {
            let verdict = answer(status, None);
            assert_eq!((verdict.tried.state, wait(&verdict)), (DeliveryState::Pending, Some(5)), "{status}");
        }
        let gone = answer(410, None);
        assert_eq!((gone.tried.state, gone.gone), (DeliveryState::Failed, true));
        let last = judge(Err(&away()), (4, true), (now(), Duration::ZERO), [0, 0]);
        assert_eq!((last.tried.state, last.tried.due), (DeliveryState::Failed, None));
        assert_eq!(
            (&last.tried.told["message"], &last.tried.told["kind"]),
            (&json!("away"), &json!("connect"))
        );
        assert_eq!(answer(503, None).tried.told["kind"], "status");
        assert_eq!(answer(204, None).tried.told["kind"], json!(null));
    }

    #[test]
    fn of_an_answer_its_beginning_is_told() {
        let told = |body: Vec<u8>| {
            let answer = Response::builder().status(500).body(Bytes::from(body)).unwrap();
            judge(Ok(&answer), (0, false), (now(), Duration::ZERO), [0, 0]).tried.told["answer"].clone()
        };
        assert_eq!(told(Vec::new()), json!(null));
        assert_eq!(told(b"down for repairs".to_vec()), "down for repairs");
        assert_eq!(told("\u{1f600}".repeat(1_000).into_bytes()), "\u{1f600}".repeat(ANSWER_KEPT));
        assert_eq!(told(vec![0xff; 10_000]), "\u{fffd}".repeat(ANSWER_KEPT));
    }

    #[test]
    fn pauses_grow_and_are_never_alike() {
        let of = |tries, chance| {
            let verdict = judge(Err(&away()), (tries, false), (now(), Duration::ZERO), chance);
            wait(&verdict).unwrap()
        };
        let longest: Vec<_> = (0..8).map(|tries| of(tries, [0xff, 0xff])).collect();
        assert_eq!(longest, [5, 30, 180, 1_080, 6_480, 21_600, 21_600, 21_600]);
        assert_eq!((of(1, [0, 0]), of(1, [0x80, 0])), (15, 22));
        assert_eq!(of(u32::MAX, [0xff, 0xff]), 21_600);
    }

    #[test]
    fn a_retry_after_is_read_in_every_form() {
        for (text, seconds) in [
            ("7", 7),
            (" 7 ", 7),
            ("Sun, 22 Nov 2026 08:02:00 GMT", 120),
            ("999999999999", 86_400),
            ("Sun, 22 Nov 2099 08:00:00 GMT", 86_400),
            // None of these says when it will be better.
            ("0", 5),
            ("-3", 5),
            ("1.5", 5),
            ("Sun, 22 Nov 2026 07:00:00 GMT", 5),
            ("soon", 5),
            ("", 5),
            ("99999999999999999999999999", 5),
        ] {
            assert_eq!(wait(&answer(503, Some(text))), Some(seconds), "{text}");
        }
        assert_eq!(answer(429, Some("7")).hold, Some(Duration::from_secs(7)));
        assert_eq!(answer(503, Some("9999")).hold, Some(LONGEST_HOLD));
        assert_eq!(answer(500, Some("7")).hold, None, "only this delivery waits");
        assert_eq!(answer(429, None).hold, None);
    }
}
