//! The one place that does what runs ask for.

pub(crate) mod children;
mod sending;
mod signing;
mod trace;

pub(crate) use sending::fault_kind;
pub use signing::signed;

use crate::engine::Inner;
use crate::stand_in;
use crate::ticket::Accepted;
use children::Parent;
use hookflow_flow::{Ask, Attempt, Effect, Fact, FaultKind, LogLevel, LogLine, Outcome, Reply, WaitToken};
use hookflow_store::{Outgoing, Parked, StoreError};
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

/// How soon the store is asked again when it did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// A try that leaves so long after it was asked for says when.
const LATE: SignedDuration = SignedDuration::from_secs(1);

/// Does what a run asks for. Calls do not leave before `calls` is polled.
pub(crate) fn perform<'e>(
    run: &Parent<'e>,
    effect: Effect,
    calls: &mut Calls<'e>,
    reply: &mut Option<Arc<Reply>>,
    emitted: &mut Vec<Outgoing>,
) {
    let engine: &'e Inner = run.engine;
    if let Some(made_up) = run.engine.stood_in(&run.accepted, &effect)
        && let Some(ask) = effect.ask().cloned()
    {
        let rest = ask.not_before.map(|moment| Rest { until: Some(moment) });
        return calls.open(&ask.clone(), rest, stand_in::made_up(engine, ask, made_up));
    }
    match effect {
        Effect::Call(ask, call) => sending::open(engine, &run.accepted, ask, *call, calls),
        Effect::Sleep(ask) => {
            let until = ask.not_before.into_iter().chain(ask.deadline).min();
            calls.open(&ask.clone(), Some(Rest { until }), sleep(engine, ask));
        }
        Effect::Wait(ask, _) => {
            let rest = Rest { until: ask.deadline };
            calls.open(&ask.clone(), Some(rest), wait(run.clone(), ask));
        }
        Effect::Run(ask, child) => {
            let rest = ask.not_before.map(|moment| Rest { until: Some(moment) });
            calls.open(&ask.clone(), rest, run.clone().run(ask, *child));
        }
        Effect::Emit(emission) => emitted.push(engine.emitted(&emission)),
        Effect::Reply(given, _) => drop(reply.get_or_insert_with(|| Arc::new(given))),
        Effect::Log(line) => log(&run.accepted, &line),
    }
}

/// What a run has asked for and has no outcome yet.
#[derive(Default)]
pub(crate) struct Calls<'e> {
    open: Vec<Open<'e>>,
    /// Outcomes that are there already.
    happened: VecDeque<Fact>,
}

struct Open<'e> {
    ask: Ask,
    rest: Option<Rest>,
    /// Of the try of a call.
    away: Away,
    call: Pin<Box<dyn Future<Output = Fact> + Send + 'e>>,
}

/// What comes of what was asked for.
pub(crate) enum Came {
    /// Its outcome.
    Fact(Box<Fact>),
    /// It is put off, so the run may have nothing more to do for now.
    PutOff,
}

/// What is known of a try while it is on its way.
#[derive(Clone, Default)]
struct Away(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// What is remembered of it, once it has left.
    attempt: Option<Attempt>,
    /// Set when it is put off until then.
    rests_until: Option<Timestamp>,
}

impl Away {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leaves(&self, attempt: Attempt) {
        self.lock().attempt = Some(attempt);
    }

    fn rests(&self, until: Timestamp) {
        self.lock().rests_until = Some(until);
    }

    fn learns(&self, change: impl FnOnce(&mut Attempt)) {
        if let Some(attempt) = &mut self.lock().attempt {
            change(attempt);
        }
    }

    /// The fact of the try, with what is remembered of it if it has left.
    fn back(&self, ask: Ask, at: Timestamp, outcome: Outcome) -> Fact {
        let (first, asked_at) = (ask.attempt == 1, ask.at);
        let fact = ask.fact(at, outcome);
        let Some(attempt) = self.lock().attempt.take() else { return fact };
        let began_at = attempt.began_at;
        let late = first && began_at.duration_since(asked_at) >= LATE;
        let took = at.duration_since(began_at).as_millis();
        let took_ms = attempt.took_ms.or_else(|| u64::try_from(took).ok());
        Fact { left: late.then_some(began_at), ..fact }.tried(Attempt { took_ms, ..attempt })
    }
}

/// What was asked for is not under way, and the run need not be in hand for it.
#[derive(Clone, Copy)]
struct Rest {
    /// Before this moment; `None`: until something comes.
    until: Option<Timestamp>,
}

impl<'e> Calls<'e> {
    fn open(&mut self, ask: &Ask, rest: Option<Rest>, call: impl Future<Output = Fact> + Send + 'e) {
        self.open_call(ask, rest, Away::default(), call);
    }

    fn open_call(
        &mut self,
        ask: &Ask,
        rest: Option<Rest>,
        away: Away,
        call: impl Future<Output = Fact> + Send + 'e,
    ) {
        self.open.push(Open { ask: ask.clone(), rest, away, call: Box::pin(call) });
    }

    /// Ends everything that was asked for: the run is cancelled.
    pub(crate) fn cancel(&mut self, now: Timestamp) {
        for Open { ask, away, .. } in self.open.drain(..) {
            let outcome = failed(FaultKind::Cancelled, "the run was cancelled");
            self.happened.push_back(away.back(ask, now, outcome));
        }
    }

    /// Whatever the run waits for no longer is let go.
    pub(crate) fn retain(&mut self, awaits: impl Fn(&Ask) -> bool) {
        self.open.retain(|open| awaits(&open.ask));
    }

    /// An outcome is known without asking.
    pub(crate) fn happened(&mut self, fact: Fact) {
        self.happened.push_back(fact);
    }

    /// An outcome has come from elsewhere. `false`: nobody asks for it now.
    pub(crate) fn came(&mut self, fact: &Arc<Fact>) -> bool {
        let asked = self.open.iter().position(|open| is_asked_by(fact, &open.ask));
        if let Some(n) = asked {
            drop(self.open.swap_remove(n));
            self.happened.push_back(Fact::clone(fact));
        }
        asked.is_some()
    }

    /// How to park the run, when nothing is under way and nothing has to be done until further off than `from`.
    pub(crate) fn parked(&self, now: Timestamp, from: Duration, heard: usize) -> Option<Parked> {
        let later = now.checked_add(from).ok()?;
        let waits =
            |open: &Open<'_>| open.rest.is_some_and(|rest| rest.until.is_none_or(|moment| moment > later));
        let idle = self.happened.is_empty() && !self.open.is_empty() && self.open.iter().all(waits);
        let until = self.open.iter().filter_map(|open| open.rest?.until).min();
        idle.then_some(Parked { until, heard })
    }

    /// What comes next; `None` when nothing was asked for. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Option<Came> {
        if let Some(fact) = self.happened.pop_front() {
            return Some(Came::Fact(Box::new(fact)));
        }
        if self.open.is_empty() {
            return None;
        }
        std::future::poll_fn(|cx| {
            let came = self.open.iter_mut().enumerate().find_map(|(n, open)| Some((n, open.poll(cx)?)));
            let Some((n, came)) = came else { return Poll::Pending };
            if matches!(came, Came::Fact(_)) {
                drop(self.open.swap_remove(n));
            }
            Poll::Ready(Some(came))
        })
        .await
    }
}

impl Open<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Option<Came> {
        match self.call.as_mut().poll(cx) {
            Poll::Ready(fact) => Some(Came::Fact(Box::new(fact))),
            Poll::Pending => {
                self.rest = Some(Rest { until: Some(self.away.lock().rests_until.take()?) });
                Some(Came::PutOff)
            }
        }
    }
}

/// Nothing, until its moment; what has none waits for the deadline alone.
async fn sleep(engine: &Inner, ask: Ask) -> Fact {
    let clock = &engine.clock;
    let in_time = match (ask.not_before, ask.deadline) {
        (Some(due), deadline) if deadline.is_none_or(|deadline| due <= deadline) => Some(due),
        _ => None,
    };
    if let Some(until) = in_time.or(ask.deadline) {
        clock.sleep_until(until).await;
    }
    let outcome = match in_time {
        Some(_) => Outcome::Slept,
        None => failed(FaultKind::Timeout, "its time was over"),
    };
    ask.fact(clock.now(), outcome)
}

/// Nothing, until the deadline; whoever calls before comes through the inbox. Who wins is the store's to say.
async fn wait(run: Parent<'_>, ask: Ask) -> Fact {
    let clock = &run.engine.clock;
    match ask.deadline {
        Some(deadline) => clock.sleep_until(deadline).await,
        None => std::future::pending().await,
    }
    loop {
        match run.engine.store.close(&run.engine.owner, &run.accepted.run, &ask.place).await {
            Ok(Some(came)) => return Fact::clone(&came),
            Err(StoreError::Unavailable(why)) => {
                tracing::error!(run = &*run.accepted.run, why, "the end of a wait waits for the store");
                clock.sleep(ASK_AGAIN).await;
            }
            Ok(None) | Err(_) => {
                return ask.fact(clock.now(), failed(FaultKind::Timeout, "nobody called in time"));
            }
        }
    }
}

/// Whether a fact is what an ask asks for.
pub(crate) fn is_asked_by(fact: &Fact, ask: &Ask) -> bool {
    fact.place == ask.place && fact.attempt == ask.attempt
}

fn failed(kind: FaultKind, message: impl Into<String>) -> Outcome {
    Outcome::Failed { kind, message: message.into() }
}

/// A flow's own line. What it holds is its author's choice.
fn log(accepted: &Accepted, line: &LogLine) {
    macro_rules! log {
        ($level:ident) => {
            tracing::event!(
                target: "flow",
                tracing::Level::$level,
                flow = &*accepted.flow,
                run = &*accepted.run,
                step = &*line.step,
                fields = %Fields(line),
                "{}",
                Masked(&line.text)
            )
        };
    }
    match line.level {
        LogLevel::Debug => log!(DEBUG),
        LogLevel::Info => log!(INFO),
        LogLevel::Warn => log!(WARN),
        LogLevel::Error => log!(ERROR),
    }
}

/// A line's fields as one JSON object; written only when somebody reads the log.
struct Fields<'l>(&'l LogLine);

impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = serde_json::to_string(&self.0.fields).map_err(|_| fmt::Error)?;
        Masked(&fields).fmt(f)
    }
}

/// A flow's own text in the log, where nobody is to find the URL of a run that waits.
pub(crate) struct Masked<'t>(pub(crate) &'t str);

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        WaitToken::mask(self.0).as_deref().unwrap_or(self.0).fmt(f)
    }
}
