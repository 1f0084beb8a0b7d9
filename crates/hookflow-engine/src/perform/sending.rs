//! One try of a call: when it may leave, what leaves, and what comes of it.

use super::{Calls, Rest, failed, signing};
use crate::engine::Inner;
use crate::integrations::{Outside, Try, Turn, one_try, request};
use crate::ticket::Accepted;
use hookflow_flow::{Ask, Fact, FaultKind, HttpCall, Outcome};
use hookflow_outbound::CallFaultKind;
use hookflow_runtime::fault_point;
use hookflow_trigger::Event;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// A try whose moment is nearer than this gets its turn now.
const SOON: Duration = Duration::from_secs(1);

/// What a try goes by.
struct Way {
    outside: Result<Option<Arc<Outside>>, String>,
    /// Whose files it may carry.
    event: Arc<Event>,
    one: Try,
    turn: Option<Turn>,
}

/// Opens one try of a call. While it waits for its moment, or for its turn at the integration, the run may rest.
pub(super) fn open<'e>(
    engine: &'e Inner,
    accepted: &Arc<Accepted>,
    ask: Ask,
    call: HttpCall,
    calls: &mut Calls<'e>,
) {
    let now = engine.clock.now();
    let outside = engine.integrations.of(&call);
    let one = one_try(&accepted.run, &ask);
    let soon = now.checked_add(SOON).unwrap_or(now);
    let from = ask.not_before.unwrap_or(now);
    let pace = outside.as_ref().ok().and_then(Option::as_ref).filter(|_| from <= soon);
    let turn = pace.map(|outside| outside.pace.reserve(&one, from.max(now)));
    // A turn that comes too late is not waited for.
    let in_time = |turn: Turn| ask.deadline.is_none_or(|deadline| turn.at <= deadline);
    let rest = match turn {
        Some(turn) => (turn.held && turn.at > now && in_time(turn)).then_some(turn.at),
        None => ask.not_before,
    };
    let way = Way { outside, event: Arc::clone(&accepted.event), one, turn };
    calls.open(&ask.clone(), rest.map(|until| Rest { until: Some(until) }), send(engine, ask, call, way));
}

/// One try of a call, from its earliest moment to its outcome.
async fn send(engine: &Inner, ask: Ask, call: HttpCall, way: Way) -> Fact {
    let clock = &engine.clock;
    if let Some(due) = ask.not_before {
        clock.sleep_until(due).await;
    }
    let Way { outside, event, one, turn } = way;
    let outcome = match outside {
        Ok(Some(outside)) => match await_turn(engine, &outside, &one, turn, ask.deadline).await {
            Ok(()) => {
                let outcome = attempt(engine, &ask, (&call, &event), Some(&outside)).await;
                let now = clock.now();
                if let Some(wait) = outcome.asks_to_wait(now) {
                    outside.pace.pause(now, wait);
                }
                outcome
            }
            Err(late) => late,
        },
        Ok(None) => attempt(engine, &ask, (&call, &event), None).await,
        Err(why) => failed(FaultKind::Refused, why),
    };
    ask.fact(clock.now(), outcome)
}

/// Waits for the try's turn at its integration. One that would come too late is not waited for.
async fn await_turn(
    engine: &Inner,
    outside: &Outside,
    one: &Try,
    turn: Option<Turn>,
    deadline: Option<Timestamp>,
) -> Result<(), Outcome> {
    let (clock, pace) = (&engine.clock, &outside.pace);
    let mut turn = turn.unwrap_or_else(|| pace.reserve(one, clock.now()));
    loop {
        if deadline.is_some_and(|deadline| turn.at > deadline) {
            pace.release(one);
            let message =
                format!("`{}` may not be called so soon, and its time is over then", outside.integration.id);
            return Err(failed(FaultKind::RateLimited, message));
        }
        clock.sleep_until(turn.at).await;
        if pace.stands(turn.at) {
            pace.release(one);
            return Ok(());
        }
        turn = pace.reserve(one, clock.now());
    }
}

async fn attempt(
    engine: &Inner,
    ask: &Ask,
    (call, event): (&HttpCall, &Event),
    outside: Option<&Outside>,
) -> Outcome {
    let left = ask.deadline.map_or(Duration::MAX, |deadline| {
        Duration::try_from(deadline.duration_since(engine.clock.now())).unwrap_or_default()
    });
    if left.is_zero() {
        return failed(FaultKind::Timeout, "its time was over before it could be sent");
    }
    let timeout = outside.and_then(Outside::timeout).unwrap_or(call.timeout).min(left);
    let caller = outside.map_or(&engine.caller, |outside| &outside.caller);
    let request = match request(call, event, outside) {
        Ok(request) => signing::signed(engine, call, event, request).await,
        Err(why) => Err(why),
    };
    match request {
        Ok(request) => {
            fault_point("engine.before-send");
            let sent = caller.send(request, timeout).await;
            fault_point("engine.sent");
            match sent {
                Ok(answer) => call.answered(answer.status(), answer.headers(), answer.body()),
                Err(fault) => failed(kind(fault.kind), fault.message),
            }
        }
        Err(why) => failed(FaultKind::Refused, why),
    }
}

fn kind(kind: CallFaultKind) -> FaultKind {
    match kind {
        CallFaultKind::Timeout => FaultKind::Timeout,
        CallFaultKind::Connect | CallFaultKind::Protocol => FaultKind::Connect,
        CallFaultKind::Tls => FaultKind::Tls,
        CallFaultKind::TooLarge => FaultKind::TooLarge,
        CallFaultKind::Refused => FaultKind::Refused,
    }
}
