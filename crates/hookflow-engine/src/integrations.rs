//! The integrations in force. How fast each may go is remembered beside them and outlives them: a reload is no new
//! allowance.

use arc_swap::ArcSwap;
use hookflow_flow::{Ask, CallBody, HttpCall, Integration, Piece, Place};
use hookflow_outbound::Caller;
use hookflow_text::Rate;
use hookflow_trigger::{Body, Event};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many tries hold a turn while their runs rest in the store. Beyond that they wait in hand.
const TURNS_HELD: usize = 100_000;
/// A turn that nobody took so long after it came is nobody's.
const TURN_FORGOTTEN: Duration = Duration::from_mins(10);
/// The longest that one answer can hold up all calls of an integration.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// An integration to be put in force.
#[derive(Debug)]
pub struct LiveIntegration {
    /// What it is.
    pub integration: Arc<Integration>,
    /// What performs its calls; `None`: what performs all others.
    pub caller: Option<Caller>,
}

/// Those in force.
#[derive(Default)]
pub(crate) struct InForce(ArcSwap<HashMap<Arc<str>, Arc<Outside>>>);

/// One of them.
pub(crate) struct Outside {
    pub integration: Arc<Integration>,
    pub caller: Caller,
    pub pace: Arc<Pace>,
}

/// One try of one run.
pub(crate) type Try = (Arc<str>, Place, u32);

impl InForce {
    /// Puts integrations in force, all at once, in place of those before.
    pub(crate) fn replace(&self, integrations: Vec<LiveIntegration>, caller: &Caller) {
        let former = self.0.load();
        let outside = |LiveIntegration { integration, caller: own }| {
            let former = former.get(&integration.id).map(|outside| Arc::clone(&outside.pace));
            let pace = former.unwrap_or_default();
            pace.lock().rate = integration.outlet.as_ref().and_then(|outlet| outlet.rate_limit);
            let caller = own.unwrap_or_else(|| caller.clone());
            (Arc::clone(&integration.id), Arc::new(Outside { integration, caller, pace }))
        };
        self.0.store(Arc::new(integrations.into_iter().map(outside).collect()));
    }

    /// What a call goes by; `None` when it goes by none.
    ///
    /// # Errors
    /// When it is not in force any more.
    pub(crate) fn of(&self, call: &HttpCall) -> Result<Option<Arc<Outside>>, String> {
        let Some(via) = &call.via else { return Ok(None) };
        let found = self.0.load().get(&via.integration).cloned();
        found.map(Some).ok_or_else(|| format!("there is no integration `{}` any more", via.integration))
    }
}

impl Outside {
    /// The request of a call that goes by it.
    pub(crate) fn request(call: &HttpCall, by: Option<&Self>) -> Result<Request<CallBody>, String> {
        assembled(call, by.map(|outside| &*outside.integration))
    }

    /// How long a try may take.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.integration.outlet.as_ref()?.timeout
    }
}

/// How fast all calls of an integration together may be: one after the other in even steps, and none before the other
/// side wants to hear of us again.
///
/// Its moments are none of the time of day: when that is set, nobody waits longer for it, and nobody leaves sooner.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    rate: Option<Rate>,
    /// The first moment that is nobody's turn yet.
    next: Option<Instant>,
    /// Nothing leaves before.
    paused_until: Option<Instant>,
    /// The turns of tries whose runs may rest in the store meanwhile.
    held: HashMap<Try, Instant>,
}

/// When a try may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    pub at: Instant,
    /// Whether it is still this try's turn after the run has rested.
    pub held: bool,
}

impl Pace {
    /// A turn for a try, not before `from`. Who has one keeps it.
    pub(crate) fn reserve(&self, one: &Try, from: Instant) -> Turn {
        let mut state = self.lock();
        if let Some(at) = state.held.get(one).copied().filter(|at| state.lets(*at)) {
            return Turn { at, held: true };
        }
        let mut at = state.paused_until.map_or(from, |until| from.max(until));
        if let Some(rate) = state.rate {
            at = state.next.map_or(at, |next| at.max(next));
            state.next = at.checked_add(rate.per / rate.count);
        }
        if at <= from {
            return Turn { at, held: true };
        }
        if state.held.len() >= TURNS_HELD {
            state.held.retain(|_, turn| from.saturating_duration_since(*turn) < TURN_FORGOTTEN);
        }
        let held = state.held.len() < TURNS_HELD;
        if held {
            state.held.insert(one.clone(), at);
        }
        Turn { at, held }
    }

    /// Whether what was reserved for this moment may leave then.
    pub(crate) fn stands(&self, at: Instant) -> bool {
        self.lock().lets(at)
    }

    /// The try leaves, or never will.
    pub(crate) fn release(&self, one: &Try) {
        self.lock().held.remove(one);
    }

    /// The other side wants to hear nothing for a while.
    pub(crate) fn pause(&self, now: Instant, wait: Duration) {
        let until = now.checked_add(wait.min(LONGEST_PAUSE));
        let mut state = self.lock();
        state.paused_until = state.paused_until.max(until);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn lets(&self, at: Instant) -> bool {
        self.paused_until.is_none_or(|until| at >= until)
    }
}

/// A try as the pace knows it.
pub(crate) fn one_try(run: &Arc<str>, ask: &Ask) -> Try {
    (Arc::clone(run), ask.place.clone(), ask.attempt)
}

/// The request of a call: what the flow says, and what its integration adds. Private values are marked as sensitive.
///
/// # Errors
/// Why it cannot be sent.
pub fn assembled(call: &HttpCall, integration: Option<&Integration>) -> Result<Request<CallBody>, String> {
    let outlet = integration.and_then(|integration| integration.outlet.as_ref());
    let url = call.url.under(outlet.and_then(|outlet| outlet.root_url.as_ref()));
    let url = url.map_err(|why| format!("the URL is refused: {why}"))?;
    let request = Request::builder().method(&call.method).uri(url.as_str()).body(call.body.clone());
    let mut request = request.map_err(|_| "the URL is refused: it cannot be called".to_owned())?;
    let headers = request.headers_mut();
    if let (Some(via), Some(integration)) = (&call.via, integration) {
        for header in outlet.map_or(&[][..], |outlet| &outlet.headers) {
            if !via.without.contains(&header.name) {
                headers.append(header.name.clone(), header.value.clone());
            }
        }
        let webhook = via.webhook.as_ref().and_then(|name| integration.webhooks.get(name));
        for header in webhook.map_or(&[][..], |webhook| &webhook.headers) {
            headers.insert(header.name.clone(), header.value.clone());
        }
    }
    replace(headers, &call.headers);
    if let Some(content_type) = call.via.as_ref().and_then(|via| via.content_type) {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
    }
    Ok(request)
}

/// How many redirects a try of the call follows: as many as it says itself, else as its integration does, else none.
pub fn redirects(call: &HttpCall, integration: Option<&Integration>) -> u8 {
    let outlet = integration.and_then(|integration| integration.outlet.as_ref());
    call.redirects.or_else(|| Some(outlet?.redirects)).unwrap_or_default()
}

/// The request with the files of the event in their places.
///
/// # Errors
/// When one of them did not come with it.
pub fn filled(request: Request<CallBody>, event: &Event) -> Result<Request<Vec<Body>>, String> {
    let (head, body) = request.into_parts();
    let body_of = |piece| match piece {
        Piece::Bytes(bytes) => Ok(Body::Held(bytes)),
        Piece::File(file) => {
            event.file(&file.sha256).cloned().ok_or_else(|| "its file did not come with the event".to_owned())
        }
    };
    let body: Result<_, String> = body.pieces().into_iter().map(body_of).collect();
    Ok(Request::from_parts(head, body?))
}

/// What the flow writes stands in place of what it would inherit.
fn replace(headers: &mut HeaderMap, own: &HeaderMap) {
    for name in own.keys() {
        headers.remove(name);
    }
    headers.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outside").field(&self.integration.id).finish()
    }
}

impl fmt::Debug for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.load().keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookflow_runtime::Clock;
    use std::sync::LazyLock;

    fn at(millis: u64) -> Instant {
        static START: LazyLock<Instant> = LazyLock::new(|| Clock::system().monotonic());
        *START + Duration::from_millis(millis)
    }

    fn one(run: &str) -> Try {
        (run.into(), Place { step: hookflow_flow::StepNumber(0), turns: Vec::new() }, 1)
    }

    fn pace(rate: &str) -> Pace {
        let pace = Pace::default();
        pace.lock().rate = Some(Rate::parse(rate).unwrap());
        pace
    }

    #[test]
    fn turns_come_in_even_steps_and_are_kept() {
        let pace = pace("8/s");
        let turns: Vec<_> = (0..4).map(|n| pace.reserve(&one(&n.to_string()), at(0)).at).collect();
        assert_eq!(turns, [at(0), at(125), at(250), at(375)]);
        assert_eq!(pace.reserve(&one("2"), at(200)).at, at(250), "it has its turn already");
        pace.release(&one("2"));
        assert_eq!(pace.reserve(&one("2"), at(260)).at, at(500), "and then another one");
        assert_eq!(pace.reserve(&one("9"), at(5_000)).at, at(5_000), "what was not used is not saved up");
        assert_eq!(pace.reserve(&one("10"), at(5_000)).at, at(5_125));
    }

    #[test]
    fn an_answer_that_asks_to_wait_holds_up_everybody() {
        let pace = pace("10/s");
        let before = pace.reserve(&one("a"), at(0)).at;
        let waiting = pace.reserve(&one("b"), at(0)).at;
        pace.pause(at(10), Duration::from_secs(2));
        assert!(!pace.stands(before) && !pace.stands(waiting));
        assert_eq!(pace.reserve(&one("b"), at(100)).at, at(2_010));
        assert_eq!(pace.reserve(&one("c"), at(100)).at, at(2_110));
        pace.pause(at(20), Duration::from_millis(1));
        assert!(pace.stands(at(2_010)), "a shorter pause does not end a longer one");
        pace.pause(at(20), Duration::from_hours(24));
        assert_eq!(pace.reserve(&one("d"), at(0)).at, at(20) + LONGEST_PAUSE);
        let free = Pace::default();
        free.pause(at(0), Duration::from_secs(1));
        assert_eq!(free.reserve(&one("a"), at(0)).at, at(1_000), "without a rate too");
    }

    #[test]
    fn turns_that_are_held_are_bounded() {
        let pace = pace("1000/s");
        let turns = (0..TURNS_HELD + 10).map(|n| pace.reserve(&one(&n.to_string()), at(0)).held);
        assert_eq!(turns.filter(|held| !held).count(), 9, "the first left at once");
        let later = at(0) + Duration::from_hours(1);
        pace.lock().next = Some(later + Duration::from_secs(1));
        assert!(pace.reserve(&one("later"), later).held, "turns that nobody took are forgotten");
    }
}
