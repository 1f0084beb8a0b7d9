//! Who calls the runs that wait: some at once, before the run waits, some late, some twice, some never.

use super::chance::Chance;
use super::evidence::{Evidence, now};
use super::http::{ask, post};
use super::service::Door;
use super::target::{Target, Waiting};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(10);

/// A call that is to be made.
struct Call {
    due: Instant,
    name: String,
    run: String,
    event: String,
    path: String,
}

/// Calls until it is ended and nothing is left to call.
pub(super) fn call(
    target: &Target<'_>,
    evidence: &Evidence,
    door: &Door,
    ended: &AtomicBool,
    mut chance: Chance,
) {
    let (mut calls, mut count) = (Vec::new(), 0_u64);
    loop {
        for waiting in target.urls() {
            plan(&waiting, &mut calls, &mut count, &mut chance);
        }
        let (due, later): (Vec<_>, Vec<_>) = calls.into_iter().partition(|call: &Call| call.due <= now());
        calls = later;
        for call in due {
            if let Some(again) = make(call, evidence, door) {
                calls.push(again);
            }
        }
        if ended.load(Ordering::Relaxed) && calls.is_empty() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

fn plan(waiting: &Waiting, calls: &mut Vec<Call>, count: &mut u64, chance: &mut Chance) {
    let mut later = |pause: Duration| {
        *count += 1;
        calls.push(Call {
            due: now() + pause,
            name: format!("callback-{count}"),
            run: waiting.run.clone(),
            event: waiting.event.clone(),
            path: waiting.path.clone(),
        });
    };
    match chance.below(10) {
        0 => {}
        1..=3 => later(Duration::ZERO),
        4 => {
            later(Duration::ZERO);
            later(Duration::from_millis(5));
        }
        5 => later(chance.millis(2_900, 3_400)),
        6 => {
            later(chance.millis(300, 400));
            later(chance.millis(300, 400));
        }
        _ => later(chance.millis(200, 1_500)),
    }
}

/// Makes a call; returned is it again when nobody has answered, as its sender would.
fn make(call: Call, evidence: &Evidence, door: &Door) -> Option<Call> {
    let address = door.wait()?;
    let sent = evidence.at();
    let body = json!({"n": call.name}).to_string();
    let answer = ask(address, &post(&call.path, "Content-Type: application/json\r\n", body.as_bytes())).ok();
    let status = answer.as_ref().map(|answer| answer.status);
    evidence.caller(&json!({
        "kind": "callback",
        "callback": call.name,
        "event": call.event,
        "run": call.run,
        "sent": sent,
        "answered": status.map(|_| evidence.at()),
        "status": status,
    }));
    let again = Call { due: now() + Duration::from_millis(50), ..call };
    status.is_none_or(|status| status >= 500).then_some(again)
}
