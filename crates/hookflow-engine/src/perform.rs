//! The one place that does what runs ask for.

use crate::engine::Inner;
use crate::ticket::Accepted;
use hookflow_flow::{Ask, Effect, Fact, FaultKind, HttpCall, LogLevel, LogLine, Outcome, Place, Reply};
use hookflow_outbound::CallFaultKind;
use hookflow_store::Parked;
use http::Request;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Does what a run asks for. Calls do not leave before `calls` is polled.
pub(crate) fn perform<'e>(
    engine: &'e Inner,
    accepted: &Accepted,
    effect: Effect,
    calls: &mut Calls<'e>,
    reply: &mut Option<Arc<Reply>>,
) {
    match effect {
        Effect::Call(ask, call) => {
            let (place, not_before) = (ask.place.clone(), ask.not_before);
            calls.open.push(Open { place, not_before, call: Box::pin(send(engine, ask, *call)) });
        }
        Effect::Reply(given) => drop(reply.get_or_insert_with(|| Arc::new(given))),
        Effect::Log(line) => log(accepted, &line),
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
    place: Place,
    not_before: Option<Timestamp>,
    call: Pin<Box<dyn Future<Output = Fact> + Send + 'e>>,
}

impl Calls<'_> {
    /// An outcome is known without asking.
    pub(crate) fn happened(&mut self, fact: Fact) {
        self.happened.push_back(fact);
    }

    /// An outcome has come from elsewhere. `false`: nobody asks for it now.
    pub(crate) fn came(&mut self, fact: &Arc<Fact>) -> bool {
        let asked = self.open.iter().position(|open| open.place == fact.place);
        if let Some(n) = asked {
            drop(self.open.swap_remove(n));
            self.happened.push_back(Fact::clone(fact));
        }
        asked.is_some()
    }

    /// How to park the run, when nothing is under way and nothing has to be done until further off than `from`.
    pub(crate) fn parked(&self, now: Timestamp, from: Duration, heard: usize) -> Option<Parked> {
        let later = now.checked_add(from).ok()?;
        let waits = |open: &Open<'_>| open.not_before.is_some_and(|moment| moment > later);
        let idle = self.happened.is_empty() && !self.open.is_empty() && self.open.iter().all(waits);
        let until = self.open.iter().filter_map(|open| open.not_before).min();
        idle.then_some(Parked { until, heard })
    }

    /// The next outcome; `None` when nothing was asked for. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Option<Fact> {
        if let Some(fact) = self.happened.pop_front() {
            return Some(fact);
        }
        if self.open.is_empty() {
            return None;
        }
        std::future::poll_fn(|cx| {
            let ready =
                self.open.iter_mut().enumerate().find_map(|(n, open)| match open.call.as_mut().poll(cx) {
                    Poll::Ready(fact) => Some((n, fact)),
                    Poll::Pending => None,
                });
            let Some((n, fact)) = ready else { return Poll::Pending };
            drop(self.open.swap_remove(n));
            Poll::Ready(Some(fact))
        })
        .await
    }
}

/// One try of a call, from its earliest moment to its outcome.
async fn send(engine: &Inner, ask: Ask, call: HttpCall) -> Fact {
    let clock = &engine.clock;
    if let Some(due) = ask.not_before {
        clock.sleep_until(due).await;
    }
    let left = ask.deadline.map_or(Duration::MAX, |deadline| {
        Duration::try_from(deadline.duration_since(clock.now())).unwrap_or_default()
    });
    let outcome = if left.is_zero() {
        failed(FaultKind::Timeout, "its time was over before it could be sent")
    } else {
        match request(&call) {
            Ok(request) => match engine.caller.send(request, call.timeout.min(left)).await {
                Ok(answer) => call.answered(answer.status(), answer.headers(), answer.body()),
                Err(fault) => failed(kind(fault.kind), fault.message),
            },
            Err(_) => failed(FaultKind::Refused, "its URL cannot be called"),
        }
    };
    ask.fact(clock.now(), outcome)
}

fn request(call: &HttpCall) -> http::Result<Request<bytes::Bytes>> {
    let request = Request::builder().method(&call.method).uri(call.url.as_str());
    let mut request = request.body(call.body.clone())?;
    request.headers_mut().clone_from(&call.headers);
    Ok(request)
}

fn failed(kind: FaultKind, message: impl Into<String>) -> Outcome {
    Outcome::Failed { kind, message: message.into() }
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
                line.text
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
        f.write_str(&serde_json::to_string(&self.0.fields).map_err(|_| fmt::Error)?)
    }
}
