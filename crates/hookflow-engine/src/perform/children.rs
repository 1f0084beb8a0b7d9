//! The runs that a run begins.
//!
//! A child is a run of its own, with its own journal. Its ID follows from its parent and the place, so whoever asks
//! for it again after a crash finds it. It takes no place in a queue and works on its parent's worker: a flow that
//! runs itself can therefore end. One that is detached is an event like any other.

use crate::engine::Inner;
use crate::queue::FlowQueue;
use crate::ticket::Accepted;
use crate::versions::VersionFault;
use crate::worker::hand::Hand;
use crate::{LiveFlow, worker};
use hookflow_flow::{Ask, Enabled, End, Fact, Fault, FaultKind, Flow, Outcome, SubRun};
use hookflow_runtime::Heartbeat;
use hookflow_store::{Admitted, Ended, Journal, NewRun, Parked, Progress, StoreError};
use hookflow_text::{Code, Json};
use hookflow_trigger::{Event, Route};
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// How often a run that somebody else has in hand is looked at.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// How deep runs may run each other.
const DEEPEST: u32 = 16;
/// How many runs may come from one event.
const MOST_OF_A_ROOT: u32 = 1_000;

/// Where a run stands among those that run each other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Family {
    /// How many are above it.
    depth: u32,
    /// How many have come from the same event.
    size: Arc<AtomicU32>,
    line: Arc<Line>,
}

/// A run and those above it that wait for it.
#[derive(Debug, Default)]
struct Line {
    let_go: AtomicBool,
    above: Option<Arc<Line>>,
}

impl Family {
    /// One more in the family, one generation below.
    fn grow(&self) -> Result<Self, (FaultKind, String)> {
        let depth = self.depth + 1;
        if depth > DEEPEST {
            return Err((FaultKind::Limit, format!("flows run each other more than {DEEPEST} deep")));
        }
        if self.size.fetch_add(1, Ordering::Relaxed) >= MOST_OF_A_ROOT {
            return Err((FaultKind::Limit, format!("more than {MOST_OF_A_ROOT} runs come from one event")));
        }
        let line = Arc::new(Line { let_go: AtomicBool::new(false), above: Some(Arc::clone(&self.line)) });
        Ok(Self { depth, size: Arc::clone(&self.size), line })
    }

    /// Whoever waits for the runs below waits no longer: those that `drops` drops end.
    pub(crate) fn let_go(&self, drops: impl FnOnce()) {
        self.line.let_go.store(true, Ordering::Release);
        drops();
        self.line.let_go.store(false, Ordering::Release);
    }

    /// Whether it, or anybody above it, lets go of those below.
    fn lets_go(&self) -> bool {
        self.line.let_go.load(Ordering::Acquire) || self.is_let_go()
    }

    /// Whether anybody above it has let go.
    pub(crate) fn is_let_go(&self) -> bool {
        let mut line = self.line.above.as_ref();
        while let Some(above) = line {
            if above.let_go.load(Ordering::Acquire) {
                return true;
            }
            line = above.above.as_ref();
        }
        false
    }
}

/// Who asks for a child.
#[derive(Clone)]
pub(crate) struct Parent<'e> {
    pub engine: &'e Arc<Inner>,
    pub heartbeat: &'e Heartbeat,
    pub accepted: Arc<Accepted>,
    pub family: Family,
}

impl<'e> Parent<'e> {
    /// Runs a child to its end, or admits one that goes its own way.
    pub(crate) fn run(self, ask: Ask, child: SubRun) -> impl Future<Output = Fact> + Send + 'e {
        // Made at once: the future may be dropped before it is ever polled.
        let mut unheld =
            Unheld { run: derived(&self.accepted, &ask).0, held: child.detach, parent: self.clone() };
        async move {
            let clock = &self.engine.clock;
            if let Some(due) = ask.not_before {
                clock.sleep_until(due).await;
            }
            let outcome = match self.begin(&ask, child, &mut unheld).await {
                Ok(outcome) => outcome,
                Err((kind, message)) => Outcome::Failed { kind, message },
            };
            unheld.settle();
            ask.fact(clock.now(), outcome)
        }
    }

    async fn begin(
        &self,
        ask: &Ask,
        child: SubRun,
        unheld: &mut Unheld<'e>,
    ) -> Result<Outcome, (FaultKind, String)> {
        let family = self.family.grow()?;
        let (run, seed) = derived(&self.accepted, ask);
        // After a crash the child may be there already.
        let stored = loop {
            match self.engine.store.load(&run).await {
                Err(StoreError::Unavailable(why)) => self.store_is_away(&why).await,
                stored => break stored,
            }
        };
        match stored {
            Ok(_) if child.detach => return Ok(detached(&run)),
            Ok(journal) => return self.go_on(family, journal, ask, unheld).await,
            Err(StoreError::UnknownRun) => {}
            Err(StoreError::Damaged(why)) => return Err(self.set_aside(&child.flow, &run, why).await),
            Err(error) => return Err((FaultKind::Interrupted, error.to_string())),
        }
        let live = self.engine.live(&child.flow);
        let live = live.filter(|live| live.flow.enabled != Enabled::No);
        let live = live.ok_or_else(|| (FaultKind::Refused, format!("there is no flow `{}`", child.flow)))?;
        let now = self.engine.clock.now();
        let event = self.event(&run, child.with, &live, now)?;
        let bytes = u64::try_from(event.body_weight()).unwrap_or(u64::MAX);
        let flow = Arc::clone(&live.flow.id);
        let accepted = Arc::new(Accepted::new(Arc::clone(&run), seed, now, Arc::new(event), bytes, flow));
        if child.detach {
            loop {
                let place = live.queue.reserve(&live.flow.queue, bytes);
                let place = place.map_err(|_| (FaultKind::RateLimited, "its queue is full".to_owned()))?;
                let kept = self.engine.keep_and_queue(&live, Arc::clone(&accepted), place, None).await;
                match is_kept(kept)? {
                    Ok(()) => return Ok(detached(&run)),
                    Err(why) => self.store_is_away(&why).await,
                }
            }
        }
        if live.is_paused() {
            return Err((FaultKind::Refused, format!("the flow `{}` is paused", child.flow)));
        }
        accepted.hold(live.queue.take_in_hand(self.engine, &run));
        self.admit(&live, &accepted).await?;
        let parent = Parent { family, ..self.clone() };
        unheld.settle();
        parent.carry(&live.queue, Arc::clone(&live.flow), accepted, ask.deadline, None).await
    }

    /// Nobody else would ever end a child that cannot be read.
    async fn set_aside(&self, flow: &str, run: &Arc<str>, why: String) -> (FaultKind, String) {
        if let Some(live) = self.engine.live(flow)
            && let Err(error) = self.engine.set_aside_unread(&live.queue, run, &why).await
        {
            tracing::error!(run = &**run, flow, %error, "a run that cannot be read stays where it is");
        }
        (FaultKind::Interrupted, why)
    }

    /// A child that the former life of the node has left.
    async fn go_on(
        &self,
        family: Family,
        journal: Journal,
        ask: &Ask,
        unheld: &mut Unheld<'e>,
    ) -> Result<Outcome, (FaultKind, String)> {
        if let Some(ended) = &journal.run.progress.ended {
            return Ok(Outcome::Ended(End::clone(&ended.end)));
        }
        let interrupted = |error: VersionFault| (FaultKind::Interrupted, error.to_string());
        let NewRun { run, flow, progress, .. } = &journal.run;
        let queue = self.engine.queue_of(flow, &progress.version).await.map_err(interrupted)?;
        let accepted = Arc::new(Accepted::of(&journal));
        match queue.take_in_hand(self.engine, run) {
            Some(in_hand) => accepted.hold(Some(in_hand)),
            // Something came for it before its parent did, and a worker of its own flow has it.
            None => return self.end_of(run).await,
        }
        let flow = worker::begun_on(self.engine, &queue, &journal, None).await.map_err(interrupted)?;
        let parent = Parent { family, ..self.clone() };
        unheld.settle();
        parent.carry(&queue, flow, accepted, ask.deadline, Some(journal)).await
    }

    async fn carry(
        &self,
        queue: &Arc<FlowQueue>,
        flow: Arc<Flow>,
        accepted: Arc<Accepted>,
        deadline: Option<Timestamp>,
        journal: Option<Journal>,
    ) -> Result<Outcome, (FaultKind, String)> {
        let hand = Hand::child(self, queue, flow, accepted, deadline);
        let end = Box::pin(hand.carry(journal)).await;
        let lost = || (FaultKind::Interrupted, "its end could not be kept".to_owned());
        end.map(|end| Outcome::Ended(End::clone(&end))).ok_or_else(lost)
    }

    /// Waits for the end of a run that somebody else has in hand.
    async fn end_of(&self, run: &Arc<str>) -> Result<Outcome, (FaultKind, String)> {
        loop {
            match self.engine.store.load(run).await {
                Ok(journal) => {
                    if let Some(ended) = &journal.run.progress.ended {
                        return Ok(Outcome::Ended(End::clone(&ended.end)));
                    }
                }
                Err(StoreError::Unavailable(_)) => {}
                Err(error) => return Err((FaultKind::Interrupted, error.to_string())),
            }
            self.engine.clock.sleep(ASK_AGAIN).await;
        }
    }

    fn event(
        &self,
        run: &Arc<str>,
        with: Json,
        live: &LiveFlow,
        now: Timestamp,
    ) -> Result<Event, (FaultKind, String)> {
        let route = Route {
            flow: Arc::clone(&live.flow.id),
            suffix: String::new(),
            params: Vec::new(),
            system: None,
        };
        let base_url = Arc::clone(&self.accepted.event.head().base_url);
        Event::of_run(with, route, Arc::clone(run), now, base_url)
            .map_err(|refused| (FaultKind::TooLarge, format!("`with` cannot be its body: {refused}")))
    }

    /// Keeps the child as one that nobody but its parent takes up.
    async fn admit(&self, live: &LiveFlow, accepted: &Arc<Accepted>) -> Result<(), (FaultKind, String)> {
        let (engine, version) = (self.engine, &live.flow.plan.version);
        loop {
            let (sender, answer) = oneshot::channel();
            let parked = Some(Parked { until: None, heard: 0 });
            let new_run = accepted.new_run(Progress { parked, ..Progress::none(Arc::clone(version)) });
            let settled = Box::new(move |outcome| drop(sender.send(outcome)));
            engine.store.admit(&engine.owner, engine.clock.now(), vec![(new_run, settled)]);
            match is_kept(answer.await)? {
                Ok(()) => break,
                Err(why) => self.store_is_away(&why).await,
            }
        }
        accepted.set_kept();
        live.queue.series().accepted.inc();
        Ok(())
    }

    /// A run that was promised waits for the store, and its children with it.
    async fn store_is_away(&self, why: &str) {
        tracing::error!(run = &*self.accepted.run, why, "a run waits for the store to begin another");
        self.engine.clock.sleep(ASK_AGAIN).await;
    }
}

/// A child that the store may have from a former life, and that is in nobody's hand yet. If its parent waits for it no
/// longer, it is cancelled, for nobody else would ever take it up.
struct Unheld<'e> {
    parent: Parent<'e>,
    run: Arc<str>,
    held: bool,
}

impl Unheld<'_> {
    /// Somebody has it, or its end is known.
    fn settle(&mut self) {
        self.held = true;
    }
}

impl Drop for Unheld<'_> {
    fn drop(&mut self) {
        if self.held || !self.parent.family.lets_go() {
            return;
        }
        let (engine, run) = (Arc::clone(self.parent.engine), Arc::clone(&self.run));
        let tasks = engine.tasks.clone();
        tasks.spawn("abandoned run", async move { engine.cancel_unwaited(&run).await });
    }
}

impl Inner {
    /// Ends a child whose parent waits for it no longer.
    pub(crate) async fn abandon(&self, child: &Accepted, version: Arc<str>) {
        let fault =
            Fault::new(FaultKind::Cancelled, Code("run.cancelled"), "the run that waited for it has gone on");
        let ended = Some(Ended { end: Arc::new(End::Failed(fault)), at: self.clock.now() });
        let written =
            self.store.record(&self.owner, &child.run, Progress { ended, ..Progress::none(version) });
        if let Err(error) = written.await {
            tracing::error!(run = &*child.run, %error, "a run that nobody waits for could not be ended");
        }
    }
}

/// Within: why the store cannot keep it now.
fn is_kept(
    outcome: Result<Result<Admitted, StoreError>, oneshot::error::RecvError>,
) -> Result<Result<(), String>, (FaultKind, String)> {
    match outcome {
        Ok(Ok(Admitted::Kept { .. })) => Ok(Ok(())),
        Ok(Ok(Admitted::Duplicate(first))) => {
            Err((FaultKind::Refused, format!("it repeats the run {}", first.run)))
        }
        Ok(Err(StoreError::Unavailable(why))) => Ok(Err(why)),
        Ok(Err(error)) => Err((FaultKind::Interrupted, format!("it could not be kept: {error}"))),
        Err(_) => Err((FaultKind::Interrupted, "the store has stopped".to_owned())),
    }
}

fn detached(run: &str) -> Outcome {
    Outcome::Ended(End::Succeeded(json!({ "run_id": run })))
}

/// The ID and the seed of a child: the same whenever the same try of the same step of the same run asks for it.
pub(crate) fn derived(parent: &Accepted, ask: &Ask) -> (Arc<str>, [u8; 16]) {
    let digest = |purpose: &str| -> [u8; 16] {
        let hash = Sha256::new_with_prefix(purpose)
            .chain_update(&*parent.run)
            .chain_update(parent.seed)
            .chain_update(ask.place.to_string())
            .chain_update([0])
            .chain_update(ask.attempt.to_be_bytes())
            .finalize();
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(hash).for_each(|(slot, byte)| *slot = byte);
        bytes
    };
    let id = uuid::Builder::from_custom_bytes(digest("child run")).into_uuid();
    (id.to_string().into(), digest("child seed"))
}
