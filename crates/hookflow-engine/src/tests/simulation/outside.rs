//! The outside: it answers, well or badly, late or never, as the seed has it for each call.

use super::dice::Dice;
use super::store::Life;
use bytes::Bytes;
use hookflow_outbound::{CallFault, CallFaultKind, Script};
use hookflow_runtime::Clock;
use http::{Request, Response};
use jiff::SignedDuration;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn script(life: &Arc<Life>, clock: Clock, seed: u64) -> Script {
    let life = Arc::clone(life);
    Arc::new(move |request| {
        let (life, clock) = (Arc::clone(&life), clock.clone());
        Box::pin(async move { answer(&life, &clock, seed, &request).await })
    })
}

async fn answer(
    life: &Life,
    clock: &Clock,
    seed: u64,
    request: &Request<Bytes>,
) -> Result<Response<Bytes>, CallFault> {
    let run = request.headers()["x-run"].to_str().unwrap().to_owned();
    let path = request.uri().path_and_query().unwrap().to_string();
    let Some(count) = life.book(|book| book.called(&run, &path)).filter(|_| !life.dies_now()) else {
        return std::future::pending().await;
    };
    let mut dice = Dice::named(seed, &format!("{run} {path} {count}"));
    call_back(life, &mut dice, request.body());
    let fault = |kind, sent| Err(CallFault { kind, message: "as the seed has it".into(), sent });
    let bad = !life.is_calm();
    match dice.below(if bad { 14 } else { 8 }) {
        8 => return Ok(status(503, None)),
        9 => return Ok(status(429, Some("3"))),
        10 => return fault(CallFaultKind::Connect, false),
        11 => return fault(CallFaultKind::Protocol, true),
        12 => std::future::pending().await,
        6 | 7 | 13 => clock.sleep(Duration::from_millis(dice.between(1, 40_000))).await,
        5 => return Ok(status(404, None)),
        _ => {}
    }
    Ok(status(200, None))
}

fn status(status: u16, retry_after: Option<&str>) -> Response<Bytes> {
    let mut response = Response::builder().status(status).header("content-type", "application/json");
    if let Some(after) = retry_after {
        response = response.header("retry-after", after);
    }
    response.body(Bytes::from_static(br#"{"n":1}"#)).unwrap()
}

/// Who was given a URL calls it: at once, later, twice or never.
fn call_back(life: &Life, dice: &mut Dice, body: &[u8]) {
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else { return };
    let Some(url) = body.get("answer_to").and_then(|url| url.as_str()) else { return };
    let token = url.rsplit('/').next().unwrap().to_owned();
    for _ in 0..dice.below(3) {
        let after = SignedDuration::from_millis(i64::try_from(dice.below(4) * dice.below(20_000)).unwrap());
        life.book(|book| book.callbacks.push((book.now + after, token.clone())));
    }
}
