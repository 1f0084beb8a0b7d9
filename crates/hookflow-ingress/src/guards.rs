//! The order of the guards, from the head of a request to the place in its flow's queue. Earlier wins, cheap stands
//! before dear. Who may not call a flow learns that it is there, which methods it takes and how large a body: no more.

use crate::answer::Outcome;
use crate::door::Doorway;
use crate::memory::Share;
use crate::receive::Arriving;
use crate::refusal::Refusal;
use crate::target::{Rules, Target};
use hookflow_engine::{Admission, AdmitRefusal, Conclusion, Full, LiveFlow, Ticket};
use hookflow_flow::Webhook;
use hookflow_trigger::{Blob, Blobs, Event, Fetched, HandshakeAnswer, Head, Means, Received, Route, decode};
use http::request::Parts;
use http::{Method, StatusCode, header};
use jiff::Timestamp;
use std::net::IpAddr;
use std::sync::Arc;

/// What is known of a request besides itself.
#[derive(Debug)]
pub(crate) struct Knock {
    /// Where it comes from.
    pub(crate) ip: IpAddr,
    /// When it came.
    pub(crate) at: Timestamp,
    /// The ID of the event that it may become.
    pub(crate) id: Arc<str>,
    /// The flow it is for, once that is known.
    pub(crate) flow: Option<Arc<LiveFlow>>,
}

/// Takes a request through every guard; what became of it. Each request has a future of this, whole, wherever it goes:
/// what few come to is boxed.
pub(crate) async fn pass(
    doorway: &Doorway,
    parts: Parts,
    body: &mut Arriving,
    knock: &mut Knock,
) -> Result<Outcome, Refusal> {
    let Doorway { limits, engine, .. } = doorway;
    // HTTP/1.1 heads were counted on the wire already.
    if parts.headers.len() > limits.header_count {
        return Err(Refusal::HeadTooLarge);
    }
    if doorway.soft.is_set() {
        return Err(Refusal::Draining);
    }
    knock.ip = doorway.trusted_proxies.origin(knock.ip, &parts.headers).map_err(|_| Refusal::Origin)?;
    let generation = engine.generation();
    let (target, route) = Target::find(doorway, &generation, parts.uri.path(), knock.ip).await?;
    knock.flow = target.live(&generation);
    let Rules { auth, methods, body: spec } = target.rules()?;
    if parts.method == Method::HEAD {
        return Ok(Outcome::Live);
    }
    // A handshake's own method passes until it shows whether it is one.
    let taken = methods.contains(&parts.method);
    if !taken && !auth.has_handshake_by(&parts.method) {
        return Err(Refusal::Method(methods.allow()));
    }
    let head = Head {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        ip: knock.ip,
        received_at: knock.at,
        base_url: Arc::clone(&generation.base_url),
    };
    if let Some(answer) = auth.answer_head(&head)? {
        return Ok(Outcome::Handshake(answer));
    }
    if !taken && !auth.has_signed_handshake_by(&head.method) {
        return Err(Refusal::Method(methods.allow()));
    }
    let limit = spec.limit();
    if body.announced().is_some_and(|length| length > limit) {
        return Err(Refusal::BodyTooLarge(limit));
    }
    // Who shows no credentials may still ask something that has to be read, which is short.
    let may_ping = auth.may_ping(&head);
    if !may_ping {
        auth.verify_head(&head)?;
    }
    let whole = body.read(limit, doorway).await?;
    if may_ping
        && let Some(bytes) = whole.held()
        && let Some(answer) = auth.answer_ping(&head, bytes)?
    {
        return Ok(Outcome::Handshake(answer));
    }
    let case = Case { received: Received { head, body: whole }, route, fetched: Fetched::default() };
    match judge(doorway, &target, case, body.share(), &knock.id).await? {
        Passage::Event(event) => match &target {
            Target::Webhook(live) => admit(doorway, live, event, knock.ip).await,
            Target::Wait(point, _) => {
                Box::pin(doorway.engine.resume(point, &event)).await?;
                Ok(Outcome::Resumed(Arc::clone(point)))
            }
        },
        Passage::Handshake(mut answer) => {
            if let Some(url) = answer.visit.take() {
                let begun = doorway.visits.begin(Arc::clone(target.flow()), url);
                begun.map_err(|_| Refusal::TooManyVisits)?;
            }
            Ok(Outcome::Handshake(answer))
        }
    }
}

/// What becomes of a request whose body is read.
enum Passage {
    Event(Event),
    Handshake(HandshakeAnswer),
}

/// A request whose body is read, and the certificates that were fetched for it.
struct Case {
    received: Received,
    route: Route,
    fetched: Fetched,
}

/// What a judgement came to: an end, or the URL of a certificate without which there is none.
enum Judgement {
    Passed(Passage),
    Lacks(String, Box<Case>),
}

/// Judges, fetches what the judgement lacks, and judges again. What it lacks then is something else, and each
/// credential lacks one certificate at most.
async fn judge(
    doorway: &Doorway,
    target: &Target,
    mut case: Case,
    share: &mut Share,
    id: &Arc<str>,
) -> Result<Passage, Refusal> {
    loop {
        let judgement = if case.is_heavy() {
            Box::pin(examine_beside(doorway, target, case, share, id)).await?
        } else {
            examine(target, case, (id, doorway.clock.now()), share, &doorway.blobs)?
        };
        match judgement {
            Judgement::Passed(passage) => return Ok(passage),
            Judgement::Lacks(url, again) => {
                case = *again;
                let certificate = Box::pin(doorway.certificates.get(&url)).await;
                case.fetched.add(url, certificate.map_err(Refusal::Unfetched)?);
            }
        }
    }
}

impl Case {
    /// A large body, or one that may become large, is not worked on where others are served.
    fn is_heavy(&self) -> bool {
        let Received { head, body } = &self.received;
        body.held().is_none() || head.headers.contains_key(header::CONTENT_ENCODING)
    }
}

async fn examine_beside(
    doorway: &Doorway,
    target: &Target,
    case: Case,
    share: &mut Share,
    id: &Arc<str>,
) -> Result<Judgement, Refusal> {
    let (target, id, now) = (target.clone(), Arc::clone(id), doorway.clock.now());
    let blobs = Arc::clone(&doorway.blobs);
    // The share is held by whichever of both lives longer: the work, or the request it is for.
    let mut lent = share.take();
    let work = move || (examine(&target, case, (&id, now), &mut lent, &blobs), lent);
    let (judgement, lent) = doorway.tasks.blocking("body", work).await;
    *share = lent;
    judgement
}

/// The guards over the body.
fn examine(
    target: &Target,
    case: Case,
    (id, now): (&Arc<str>, Timestamp),
    share: &mut Share,
    blobs: &Arc<dyn Blobs>,
) -> Result<Judgement, Refusal> {
    let Case { received, route, fetched } = case;
    let Rules { auth, methods, body } = target.rules()?;
    let again = auth.fetches().then(|| received.clone());
    let authenticated = match auth.verify_with(received, now, &fetched) {
        Ok(authenticated) => authenticated,
        Err(why) => {
            return match (why.not_fetched().map(str::to_owned), again) {
                (Some(url), Some(received)) => {
                    Ok(Judgement::Lacks(url, Box::new(Case { received, route, fetched })))
                }
                _ => Err(why.into()),
            };
        }
    };
    if let Some(answer) = auth.answer_signed(&authenticated)? {
        return Ok(Judgement::Passed(Passage::Handshake(answer)));
    }
    // A handshake's method came this far.
    if !methods.contains(&authenticated.head().method) {
        return Err(Refusal::Method(methods.allow()));
    }
    let mut room = |bytes| share.grow_by(bytes);
    let means = &mut Means::new(Arc::clone(blobs), &mut room);
    let event = decode(authenticated, body, route, Arc::clone(id), means).map_err(Refusal::Body)?;
    if let Target::Webhook(live) = target {
        expect(live, &event)?;
    }
    Ok(Judgement::Passed(Passage::Event(event)))
}

/// Refuses an event that is not as the webhook expects, or counts it when that is advice only.
fn expect(live: &LiveFlow, event: &Event) -> Result<(), Refusal> {
    let Some(expects) = live.flow.webhook.as_ref().and_then(|webhook| webhook.expects.as_ref()) else {
        return Ok(());
    };
    let mismatches = expects.check(event);
    if mismatches.is_empty() {
        return Ok(());
    }
    if expects.strict {
        return Err(Refusal::Mismatch(mismatches));
    }
    live.count_mismatch();
    let flow = &*live.flow.id;
    let places = mismatches.iter().map(|mismatch| mismatch.at.as_str()).collect::<Vec<_>>().join(", ");
    tracing::debug!(target: "door", flow, event = &**event.id(), places, "an event is not as expected");
    Ok(())
}

/// The last guards, and then the flow's own answer or ours.
pub(crate) async fn admit(
    doorway: &Doorway,
    live: &Arc<LiveFlow>,
    event: Event,
    ip: IpAddr,
) -> Result<Outcome, Refusal> {
    let webhook = live.flow.webhook.as_ref().ok_or(Refusal::UnknownRoute)?;
    let rates = (webhook.rate_limit, webhook.rate_limit_per_address);
    let taken = doorway.rates.take(&live.flow.id, ip, rates, || doorway.clock.monotonic());
    taken.map_err(Refusal::TooOften)?;
    let place = doorway.engine.reserve(live, weight(&event)).map_err(full)?;
    let event = settle(doorway, event).await?;
    match doorway.engine.admit(live, event, place).await {
        Admission::Queued { run } => Ok(Outcome::Queued { run, live: Arc::clone(live) }),
        Admission::Waiting(ticket) => wait(doorway, webhook, ticket).await,
        Admission::Duplicate(duplicate) => Ok(Outcome::Repeated { duplicate, live: Arc::clone(live) }),
        Admission::Refused(AdmitRefusal::Paused) => Err(Refusal::Paused),
        Admission::Refused(AdmitRefusal::StoreUnavailable) => Err(Refusal::StoreUnavailable),
        Admission::Refused(AdmitRefusal::ShuttingDown) => Err(Refusal::Draining),
    }
}

/// Sees to it that what the event has spooled outlives a crash, before anything is written that names it.
async fn settle(doorway: &Doorway, event: Event) -> Result<Event, Refusal> {
    if event.blobs().next().is_none() {
        return Ok(event);
    }
    let syncing = move || event.blobs().try_for_each(Blob::sync).map(|()| event.clone());
    Box::pin(doorway.tasks.blocking("spool", syncing)).await.map_err(Refusal::Spool)
}

/// Waits for the flow's answer. A run's ID is given to a caller whose time is over only when the run is kept.
async fn wait(doorway: &Doorway, webhook: &Webhook, mut ticket: Ticket) -> Result<Outcome, Refusal> {
    match doorway.clock.timeout(webhook.timeout, ticket.wait()).await {
        Ok(Conclusion::NotKept) => Err(Refusal::StoreUnavailable),
        Ok(conclusion) => Ok(Outcome::Concluded { run: ticket.run, conclusion }),
        Err(_) if Box::pin(ticket.persist()).await => {
            Ok(Outcome::Late { run: ticket.run, on_timeout: webhook.on_timeout })
        }
        Err(_) => Err(Refusal::StoreUnavailable),
    }
}

/// What an event takes up while it waits.
fn weight(event: &Event) -> u64 {
    let head = event.head();
    let headers: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let query = head.query.as_ref().map_or(0, String::len);
    (event.body_weight() + headers + head.path.len() + query) as u64
}

fn full(Full { retry_after, status }: Full) -> Refusal {
    Refusal::QueueFull(StatusCode::from_u16(status).unwrap_or(StatusCode::TOO_MANY_REQUESTS), retry_after)
}
