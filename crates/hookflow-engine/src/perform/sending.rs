//! One try of a call: when it may leave, what leaves, and what comes of it.

use super::{Away, Calls, Rest, failed, signing, trace};
use crate::engine::Inner;
use crate::integrations::{Outside, Try, Turn, one_try, redirects};
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
    one: Try,
    turn: Option<Turn>,
    accepted: Arc<Accepted>,
    away: Away,
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
    let away = Away::default();
    let way = Way { outside, one, turn, accepted: Arc::clone(accepted), away: away.clone() };
    let rest = rest.map(|until| Rest { until: Some(until) });
    calls.open_call(&ask.clone(), rest, away, send(engine, ask, call, way));
}

/// One try of a call, from its earliest moment to its outcome.
async fn send(engine: &Inner, ask: Ask, call: HttpCall, way: Way) -> Fact {
    let clock = &engine.clock;
    if let Some(due) = ask.not_before {
        clock.sleep_until(due).await;
    }
    let Way { outside, one, turn, accepted, away } = way;
    let leave = |outside: Option<&Outside>| {
        away.leaves(trace::started(&accepted, &ask, &call, outside, clock.now()));
    };
    let outcome = match outside {
        Ok(Some(outside)) => match await_turn(engine, &outside, &one, turn, ask.deadline).await {
            Ok(()) => {
                leave(Some(&outside));
                let outcome = attempt(engine, &ask, (&call, &accepted.event), Some(&outside), &away).await;
                let now = clock.now();
                if let Some(wait) = outcome.asks_to_wait(now) {
                    outside.pace.pause(now, wait);
                }
                outcome
            }
            Err(late) => {
                leave(Some(&outside));
                late
            }
        },
        Ok(None) => {
            leave(None);
            attempt(engine, &ask, (&call, &accepted.event), None, &away).await
        }
        Err(why) => {
            leave(None);
            failed(FaultKind::Refused, why)
        }
    };
    away.back(ask.fact(clock.now(), outcome))
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
    away: &Away,
) -> Outcome {
    let left = ask.deadline.map_or(Duration::MAX, |deadline| {
        Duration::try_from(deadline.duration_since(engine.clock.now())).unwrap_or_default()
    });
    if left.is_zero() {
        return failed(FaultKind::Timeout, "its time was over before it could be sent");
    }
    let timeout = outside.and_then(Outside::timeout).or(engine.limits.call_timeout);
    let timeout = timeout.unwrap_or(call.timeout).min(left);
    let caller = outside.map_or(&engine.caller, |outside| &outside.caller);
    match signing::leaving(engine, call, event, outside).await {
        Ok(request) => {
            fault_point("engine.before-send");
            let most = redirects(call, outside.map(|outside| &*outside.integration));
            let sent = caller.follow(request, timeout, most, &mut |hop| away.hops(&hop)).await;
            fault_point("engine.sent");
            match sent {
                Ok(answer) => away.answered(call, &answer),
                Err(fault) => failed(fault_kind(fault.kind), fault.message),
            }
        }
        Err(why) => failed(FaultKind::Refused, why),
    }
}

/// What flows and operators know it as.
pub(crate) const fn fault_kind(kind: CallFaultKind) -> FaultKind {
    match kind {
        CallFaultKind::Timeout => FaultKind::Timeout,
        CallFaultKind::Connect | CallFaultKind::Protocol => FaultKind::Connect,
        CallFaultKind::Tls => FaultKind::Tls,
        CallFaultKind::TooLarge => FaultKind::TooLarge,
        CallFaultKind::Refused => FaultKind::Refused,
    }
}
