//! One run in a worker's hand: what is already kept of it, what is not, and who waits for it.
//!
//! A run of pure steps is written once, with its end. A run that asks the world is kept before its first call leaves,
//! and each outcome before the next one does. A reply reaches its caller after the write that holds it.

mod answering;
mod ending;
mod journal;
mod writing;

use crate::Conclusion;
use crate::engine::Inner;
use crate::inbox::Listening;
use crate::perform::children::{Family, Parent};
use crate::perform::{Calls, Came, Masked, perform};
use crate::queue::{self, FlowQueue};
use crate::relaxed::Owed;
use crate::ticket::Accepted;
use crate::worker::InFlight;
pub(crate) use ending::{UNSTORED_ENDS, unstored_ends};
use hookflow_flow::{Effect, End, Fact, Fault, FaultKind, Flow, Reply};
use hookflow_runtime::Heartbeat;
use hookflow_store::{Journal, Outgoing, Parked, Sent, StoreError};
use hookflow_text::Code;
use jiff::Timestamp;
use journal::leaves_once;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

type Caller = Option<queue::Caller>;

/// How far off the next thing to do must be for a run to be parked: a nearer one is waited for with the worker in hand.
const PARKED_FROM: Duration = Duration::from_secs(1);

/// One run in a worker's hand.
pub(crate) struct Hand<'e> {
    engine: &'e Arc<Inner>,
    queue: &'e Arc<FlowQueue>,
    heartbeat: &'e Heartbeat,
    /// What it goes by.
    flow: Arc<Flow>,
    accepted: Arc<Accepted>,
    caller: Caller,
    /// Where it stands among the runs that run each other.
    family: Family,
    /// Set when its event was promised and may be in memory only.
    owed: Option<Owed>,
    in_flight: Option<InFlight>,
    /// Something has left the node that no outcome is asked for.
    has_told: bool,
    /// Set when another run waits for it: then it answers nobody.
    child: Option<Child>,
    began: Instant,
    /// The run's own time begins when it does, not when its event came: its timeouts do not count the queue.
    begun_at: Timestamp,
    reply: Option<Arc<Reply>>,
    reply_is_written: bool,
    unwritten: Vec<Arc<Fact>>,
    /// Tries that are about to leave and must not leave twice.
    leaving: Vec<Sent>,
    /// Tries that had left when the node died.
    left: Vec<Sent>,
    /// What it has emitted that is not kept yet, and to whom what is kept by now goes.
    emitted: Vec<Outgoing>,
    to_tell: Vec<Arc<str>>,
    /// How many entries of the inbox were looked at, and the facts among them that nobody asked for yet.
    heard: usize,
    early: Vec<Arc<Fact>>,
    /// It is to end, and what it has asked for is not waited for.
    cancelled: bool,
    listening: Option<Listening>,
}

/// What a run knows that another waits for.
struct Child {
    /// When that one waits no longer.
    deadline: Option<Timestamp>,
    /// Whether its end was seen to.
    has_left: bool,
}

/// Why a run leaves its worker.
enum Left {
    /// It ended.
    Ended(End),
    /// It waits in the store.
    Parked(Parked),
}

/// Why a run is given up before its end.
enum Lost {
    /// Its event repeats another.
    Duplicate,
    /// Another owns it, or it could not be kept and nobody was promised it.
    Refused(StoreError),
}

/// What a run hears next.
enum Heard {
    Fact(Box<Fact>),
    /// There is something in its inbox.
    Inbox,
    /// It may have nothing to do until later.
    PutOff,
    Nothing,
}

impl<'e> Hand<'e> {
    pub(crate) fn new(
        engine: &'e Arc<Inner>,
        queue: &'e Arc<FlowQueue>,
        heartbeat: &'e Heartbeat,
        flow: Arc<Flow>,
        accepted: Arc<Accepted>,
        caller: Caller,
    ) -> Self {
        Self {
            began: engine.clock.monotonic(),
            begun_at: engine.clock.now(),
            engine,
            queue,
            heartbeat,
            flow,
            accepted,
            caller,
            family: Family::default(),
            owed: None,
            in_flight: None,
            has_told: false,
            child: None,
            reply: None,
            reply_is_written: false,
            unwritten: Vec::new(),
            leaving: Vec::new(),
            left: Vec::new(),
            emitted: Vec::new(),
            to_tell: Vec::new(),
            heard: 0,
            early: Vec::new(),
            cancelled: false,
            listening: None,
        }
    }

    /// With what counts it as in flight, and an event that was promised.
    pub(crate) fn holding(mut self, in_flight: InFlight, owed: Option<Owed>) -> Self {
        (self.in_flight, self.owed) = (Some(in_flight), owed);
        self
    }

    /// A run that another waits for, within its worker and until its deadline.
    pub(crate) fn child(
        parent: &Parent<'e>,
        queue: &'e Arc<FlowQueue>,
        flow: Arc<Flow>,
        accepted: Arc<Accepted>,
        deadline: Option<Timestamp>,
    ) -> Self {
        let family = parent.family.clone();
        let mut hand = Self::new(parent.engine, queue, parent.heartbeat, flow, accepted, None);
        (hand.family, hand.child) = (family, Some(Child { deadline, has_left: false }));
        hand
    }

    /// Carries the run to its end or until it is parked, from where its journal ends if it has one. Whichever way this
    /// goes, the caller hears of it. The end is returned when it is kept by then.
    pub(crate) async fn carry(mut self, journal: Option<Journal>) -> Option<Arc<End>> {
        let left = caught(pin!(self.drive(journal))).await;
        if let Some(child) = &mut self.child {
            child.has_left = true;
        }
        let end = match left {
            Ok(Ok(Left::Ended(end))) => end,
            Ok(Ok(Left::Parked(parked))) => {
                Box::pin(self.park(parked)).await;
                return None;
            }
            Ok(Err(lost)) => {
                self.lose(&lost);
                return None;
            }
            Err(panic) => self.bug(panic.as_ref()),
        };
        self.conclude(Arc::new(end)).await
    }

    /// What the run does until it leaves.
    async fn drive(&mut self, journal: Option<Journal>) -> Result<Left, Lost> {
        let (mut run, mut effects) = match self.begin(journal) {
            Ok(begun) => begun,
            Err(end) => return Ok(Left::Ended(end)),
        };
        let mut calls = Calls::default();
        let (accepted, family) = (Arc::clone(&self.accepted), self.family.clone());
        let parent = Parent { engine: self.engine, heartbeat: self.heartbeat, accepted, family };
        let mut nobody = None;
        loop {
            for mut effect in std::mem::take(&mut effects) {
                if let Err(fault) = self.fill(&mut effect).await {
                    return Ok(Left::Ended(End::Failed(fault)));
                }
                if let Some(fact) = self.known_outcome(&effect) {
                    calls.happened(fact);
                    continue;
                }
                self.leaving.extend(leaves_once(&effect));
                self.has_told |= matches!(effect, Effect::Emit(_));
                let reply = if self.child.is_some() { &mut nobody } else { &mut self.reply };
                perform(&parent, effect, &mut calls, reply, &mut self.emitted);
            }
            // Siblings of what has failed wait no longer.
            parent.family.let_go(|| calls.retain(|ask| run.awaits(ask)));
            if let Some(end) = run.end() {
                return Ok(Left::Ended(end.clone()));
            }
            if std::mem::take(&mut self.cancelled) {
                parent.family.let_go(|| calls.cancel(self.now()));
            }
            if run.is_ready() {
                self.heartbeat.beat();
                tokio::task::yield_now().await;
                effects = run.go_on();
                continue;
            }
            // What runs of pure steps never come to is boxed: each of them would have room for it.
            // Calls leave when they are first polled, which is not before this has gone well.
            match Box::pin(self.keep()).await {
                Ok(()) => {}
                Err(Lost::Refused(StoreError::JournalFull)) => {
                    return Ok(Left::Ended(End::Failed(journal_full())));
                }
                Err(lost) => return Err(lost),
            }
            self.answer_early();
            if self.child.is_none()
                && let Some(parked) = calls.parked(self.now(), PARKED_FROM, self.heard)
            {
                return Ok(Left::Parked(parked));
            }
            let fact = match Box::pin(self.hear(&mut calls)).await {
                Heard::Fact(fact) => fact,
                Heard::Inbox => {
                    Box::pin(self.look_into_inbox(&mut calls)).await?;
                    continue;
                }
                Heard::PutOff => continue,
                Heard::Nothing => {
                    let message = "the run neither ended nor waits for anything";
                    return Ok(Left::Ended(End::Failed(bug(message))));
                }
            };
            let (_, ignored) = run.ignored();
            effects = run.on(&fact);
            // A replay would not know what to do with a fact that the run did not ask for any longer.
            if run.ignored().1 == ignored {
                self.unwritten.push(Arc::from(fact));
            }
        }
    }

    /// What the run hears next. Who waits for it is let go when the shutdown cannot wait longer; the run goes on.
    async fn hear(&mut self, calls: &mut Calls<'_>) -> Heard {
        let run = &self.accepted.run;
        let listening = self.listening.get_or_insert_with(|| self.engine.hands.listen(run));
        let mut letting_go = self.engine.letting_go();
        let next = async {
            tokio::select! {
                biased;
                came = calls.next() => match came {
                    Some(Came::Fact(fact)) => Heard::Fact(fact),
                    Some(Came::PutOff) => Heard::PutOff,
                    None => Heard::Nothing,
                },
                () = listening.roused.notified() => Heard::Inbox,
            }
        };
        let next = self.heartbeat.wait(next);
        let mut next = pin!(next);
        tokio::select! {
            biased;
            heard = &mut next => return heard,
            // The sender lives in the engine, so the wait cannot fail.
            _ = letting_go.wait_for(|letting_go| *letting_go) => self.caller = None,
        }
        next.await
    }

    fn count(&self, end: &End) {
        let took = self.engine.clock.monotonic().saturating_duration_since(self.began);
        self.queue.series().duration.observe(took.as_secs_f64());
        match end {
            End::Succeeded(_) => self.queue.series().succeeded.inc(),
            End::Failed(fault) => {
                tracing::warn!(
                    flow = &*self.accepted.flow,
                    run = &*self.accepted.run,
                    code = fault.code,
                    step = fault.step,
                    "a run failed: {}",
                    Masked(&fault.message)
                );
                self.queue.series().failed.inc()
            }
        };
    }

    /// Dropping the caller's side tells it, unless it has been told more.
    fn lose(mut self, lost: &Lost) {
        if let Lost::Refused(error) = lost {
            let_go(&self.accepted, error); // What is owed has itself written.
            if self.owed.is_none() && !self.accepted.give_up() {
                tell(&mut self.caller, Conclusion::NotKept);
            }
        }
    }

    fn bug(&self, panic: &(dyn Any + Send)) -> End {
        self.engine.metrics.panics.inc();
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("without a text");
        tracing::error!(run = &*self.accepted.run, flow = &*self.accepted.flow, "a run panicked: {text}");
        End::Failed(bug("the service failed at this run; its log says how"))
    }

    fn now(&self) -> Timestamp {
        self.engine.clock.now()
    }
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            self.engine.hands.leave(listening);
        }
        self.accepted.release();
        if self.child.as_ref().is_some_and(|child| !child.has_left) && self.family.is_let_go() {
            let (engine, accepted) = (Arc::clone(self.engine), Arc::clone(&self.accepted));
            let version = Arc::clone(&self.flow.plan.version);
            self.engine.tasks.spawn("abandoned run", async move { engine.abandon(&accepted, version).await });
        }
    }
}

/// Tells the caller, once.
fn tell(caller: &mut Caller, conclusion: Conclusion) {
    if let Some(caller) = caller.take() {
        caller.tell(conclusion);
    }
}

fn conclusion(reply: Option<Arc<Reply>>, end: &End) -> Conclusion {
    match (reply, end) {
        (Some(reply), _) => Conclusion::Reply(reply),
        (None, End::Succeeded(_)) => Conclusion::Completed,
        (None, End::Failed(fault)) => Conclusion::Failed(fault.clone()),
    }
}

fn let_go(accepted: &Accepted, error: &StoreError) {
    tracing::error!(run = &*accepted.run, flow = &*accepted.flow, %error, "a run could not be kept");
}

fn bug(message: &str) -> Fault {
    Fault::new(FaultKind::Interrupted, Code("run.bug"), message)
}

fn journal_full() -> Fault {
    Fault::new(FaultKind::Limit, Code("run.journal-full"), StoreError::JournalFull.to_string())
}

/// The future's output, or the panic in it.
async fn caught<F: Future>(mut future: Pin<&mut F>) -> Result<F::Output, Box<dyn Any + Send>> {
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}
