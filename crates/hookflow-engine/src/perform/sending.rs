//! One try of a call: when it may leave, what leaves, and what comes of it.

use super::{Away, Calls, Rest, failed, signing, trace};
use crate::engine::Inner;
use crate::integrations::{Outside, Try, Turn, one_try, redirects};
use crate::ticket::Accepted;
use hookflow_flow::{Ask, Fact, FaultKind, HttpCall, Outcome};
use hookflow_outbound::CallFaultKind;
use hookflow_runtime::{Clock, fault_point};
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
    let clock = &engine.clock;
    let outside = engine.integrations.of(&call);
    let one = one_try(&accepted.run, &ask);
    let off = ask.not_before.map_or(Duration::ZERO, |due| left(due, clock.now()));
    let pace = outside.as_ref().ok().and_then(Option::as_ref).filter(|_| off <= SOON);
    let here = clock.monotonic();
    let turn = pace.map(|outside| outside.pace.reserve(&one, here.checked_add(off).unwrap_or(here)));
    let until = match turn {
        Some(turn) => rests(clock, turn, ask.deadline),
        None => ask.not_before,
    };
    let away = Away::default();
    let way = Way { outside, one, turn, accepted: Arc::clone(accepted), away: away.clone() };
    let rest = until.map(|until| Rest { until: Some(until) });
    calls.open_call(&ask.clone(), rest, away, send(engine, ask, call, way));
}

/// Until when the run of a try may rest. A turn that comes too late is not waited for.
fn rests(clock: &Clock, turn: Turn, deadline: Option<Timestamp>) -> Option<Timestamp> {
    let at = time_of_day(clock, turn);
    let ahead = turn.held && turn.at > clock.monotonic() && deadline.is_none_or(|deadline| at <= deadline);
    ahead.then_some(at)
}

/// When the turn comes, as the clock stands now.
fn time_of_day(clock: &Clock, turn: Turn) -> Timestamp {
    let off = turn.at.saturating_duration_since(clock.monotonic());
    clock.now().checked_add(off).unwrap_or(Timestamp::MAX)
}

fn left(due: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(due.duration_since(now)).unwrap_or_default()
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
        Ok(Some(outside)) => match await_turn(engine, &outside, (&one, turn), ask.deadline, &away).await {
            Ok(()) => {
                leave(Some(&outside));
                let outcome = attempt(engine, &ask, (&call, &accepted.event), Some(&outside), &away).await;
                if let Some(wait) = outcome.asks_to_wait(clock.now()) {
                    outside.pace.pause(clock.monotonic(), wait);
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
    away.back(ask, clock.now(), outcome)
}

/// Waits for the try's turn at its integration. One that would come too late is not waited for; one that has become a
/// later one meanwhile may be waited for in the store.
async fn await_turn(
    engine: &Inner,
    outside: &Outside,
    (one, turn): (&Try, Option<Turn>),
    deadline: Option<Timestamp>,
    away: &Away,
) -> Result<(), Outcome> {
    let (clock, pace) = (&engine.clock, &outside.pace);
    let mut turn = turn.unwrap_or_else(|| pace.reserve(one, clock.monotonic()));
    loop {
        if deadline.is_some_and(|deadline| time_of_day(clock, turn) > deadline) {
            pace.release(one);
            let message =
                format!("`{}` may not be called so soon, and its time is over then", outside.integration.id);
            return Err(failed(FaultKind::RateLimited, message));
        }
        clock.sleep(turn.at.saturating_duration_since(clock.monotonic())).await;
        if pace.stands(turn.at) {
            pace.release(one);
            return Ok(());
        }
        turn = pace.reserve(one, clock.monotonic());
        if let Some(until) = rests(clock, turn, deadline) {
            away.rests(until);
        }
    }
}

async fn attempt(
    engine: &Inner,
    ask: &Ask,
    (call, event): (&HttpCall, &Event),
    outside: Option<&Outside>,
    away: &Away,
) -> Outcome {
    let left = ask.deadline.map_or(Duration::MAX, |deadline| left(deadline, engine.clock.now()));
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
