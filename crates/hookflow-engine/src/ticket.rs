//! A caller's place to wait for the end of a run. Every end wakes it: the run itself, a panic in it, a worker that is
//! dropped, a shutdown that cannot wait longer. Whoever lets go of the other side without a word has said `Gone`.

use crate::Duplicate;
use crate::engine::Inner;
use crate::queue::{FlowQueue, InHand};
use crate::relaxed::Relaxed;
use hookflow_flow::{Fault, Reply};
use hookflow_store::{Admitted, Claim, Journal, NewRun, Progress, StoreError};
use hookflow_trigger::Event;
use jiff::Timestamp;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// A caller's place to wait.
pub struct Ticket {
    /// The run's ID.
    pub run: Arc<str>,
    engine: Arc<Inner>,
    accepted: Arc<Accepted>,
    queue: Arc<FlowQueue>,
    conclusion: Option<oneshot::Receiver<Conclusion>>,
    /// Whether the event repeats one whose run goes on: then that run's answer is awaited.
    joined: bool,
}

/// What there is to tell a waiting caller.
#[derive(Debug, Clone)]
pub enum Conclusion {
    /// The flow answers. The run may go on.
    Reply(Arc<Reply>),
    /// The run ended well without an answer.
    Completed,
    /// The run failed before an answer.
    Failed(Fault),
    /// The event repeats another, which has its answer; nothing of it is kept.
    Duplicate(Duplicate),
    /// The event could not be kept, and no call has left: as if it had never come.
    NotKept,
    /// Nobody will answer any more. A run that is kept goes on after the restart.
    Gone,
}

impl Ticket {
    pub(crate) fn new(
        engine: Arc<Inner>,
        accepted: Arc<Accepted>,
        queue: Arc<FlowQueue>,
        conclusion: oneshot::Receiver<Conclusion>,
    ) -> Self {
        let run = Arc::clone(&accepted.run);
        Self { run, engine, accepted, queue, conclusion: Some(conclusion), joined: false }
    }

    /// Waits for the run's answer; when the event repeats another, for the answer of that one's run, whose ID the
    /// ticket has from then on. May be dropped and called again; what was told once is not told again.
    pub async fn wait(&mut self) -> Conclusion {
        if let Some(conclusion) = &mut self.conclusion {
            let conclusion = conclusion.await.unwrap_or(Conclusion::Gone);
            self.conclusion = None;
            match conclusion {
                Conclusion::Duplicate(first) if !first.ended && first.reply.is_none() => self.join(&first),
                told => return told,
            }
        }
        if !self.joined {
            return Conclusion::Gone;
        }
        let conclusion = Box::pin(self.engine.answer_of(&self.run, &self.accepted)).await;
        self.joined = false;
        conclusion
    }

    fn join(&mut self, first: &Duplicate) {
        self.run = Arc::clone(&first.run);
        self.joined = true;
    }

    /// Makes sure that the run is kept, so that its ID may be told to a caller who will not wait longer. `false`: it
    /// is not, and the caller must be told to come again.
    pub async fn persist(&mut self) -> bool {
        if self.joined || self.accepted.is_kept() || !self.accepted.begin_keeping() {
            return true;
        }
        let (sender, answer) = oneshot::channel();
        // One with an order key is on its way into the store since it was accepted, and whoever ends before it has it taken
        // up: were it in hand here, it would be passed over.
        let is_on_its_way = self.accepted.order.is_some();
        if !is_on_its_way {
            self.accepted.hold(self.queue.take_in_hand(&self.engine, &self.accepted.run));
        }
        let (accepted, queue) = (Arc::clone(&self.accepted), Arc::clone(&self.queue));
        let engine = Arc::clone(&self.engine);
        let settled = Box::new(move |outcome| {
            match outcome {
                Ok(Admitted::Kept { turn, .. }) if !is_on_its_way => queue.kept_in_hand(turn),
                // The store has refused it before and has it now.
                Ok(Admitted::Kept { turn, behind: false }) if !accepted.is_kept() => {
                    queue.kept_in_store(&engine, turn);
                }
                _ => {}
            }
            if is_there(&outcome) {
                accepted.set_kept();
            }
            drop(sender.send(outcome));
        });
        let new_run = self.accepted.new_run(self.queue.nothing_yet());
        self.engine.store.admit(&self.engine.owner, self.engine.clock.now(), vec![(new_run, settled)]);
        match answer.await {
            Ok(Ok(Admitted::Duplicate(first))) => {
                self.join(&first);
                true
            }
            Ok(outcome) => is_there(&outcome),
            Err(_) => false,
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("run", &self.run).finish_non_exhaustive()
    }
}

/// Where an accepted event is: in memory, handed to the store, kept there, or ended without it.
const IN_MEMORY: u8 = 0;
const KEEPING: u8 = 1;
const KEPT: u8 = 2;
const ENDED: u8 = 3;

/// A run that has ended meanwhile is kept as well.
fn is_there(outcome: &Result<Admitted, StoreError>) -> bool {
    matches!(outcome, Ok(Admitted::Kept { .. }) | Err(StoreError::Ended))
}

/// An event that was accepted, with all that its run begins with.
pub(crate) struct Accepted {
    pub run: Arc<str>,
    pub flow: Arc<str>,
    pub seed: [u8; 16],
    pub started_at: Timestamp,
    pub event: Arc<Event>,
    /// Which attempt at the event.
    pub attempt: u32,
    pub bytes: u64,
    /// The key of the flow's `dedupe`, and how long it is remembered.
    pub dedupe: Option<(Arc<str>, Duration)>,
    /// Runs of one key are taken up one after the other's end.
    pub order: Option<Arc<str>>,
    /// The run whose event it runs again.
    pub replays: Option<Arc<str>>,
    /// What is remembered of its flow, when that is relaxed.
    pub relaxed: Option<Arc<Relaxed>>,
    place: AtomicU8,
    in_hand: Mutex<Option<InHand>>,
}

impl Accepted {
    /// Which attempt at the event a run that comes from a caller is.
    const FIRST_ATTEMPT: u32 = 1;

    /// An event and its run, not yet kept.
    pub(crate) fn new(
        run: Arc<str>,
        seed: [u8; 16],
        started_at: Timestamp,
        event: Arc<Event>,
        bytes: u64,
        flow: Arc<str>,
    ) -> Self {
        Self {
            run,
            flow,
            seed,
            started_at,
            event,
            attempt: Self::FIRST_ATTEMPT,
            bytes,
            dedupe: None,
            order: None,
            replays: None,
            relaxed: None,
            place: AtomicU8::new(IN_MEMORY),
            in_hand: Mutex::default(),
        }
    }

    /// A run that lies in the store.
    pub(crate) fn of(journal: &Journal) -> Self {
        let NewRun { run, flow, attempt, seed, started_at, event, bytes, .. } = &journal.run;
        let (run, flow) = (Arc::clone(run), Arc::clone(flow));
        let mut accepted = Self::new(run, *seed, *started_at, Arc::clone(event), *bytes, flow);
        accepted.set_kept();
        accepted.attempt = *attempt;
        accepted
    }

    /// Whether it is in the store.
    pub(crate) fn is_kept(&self) -> bool {
        self.place.load(Ordering::Acquire) == KEPT
    }

    pub(crate) fn set_kept(&self) {
        self.place.store(KEPT, Ordering::Release);
    }

    /// Whether it has neither ended nor was it handed to the store by others than its worker.
    pub(crate) fn is_in_memory_only(&self) -> bool {
        self.place.load(Ordering::Acquire) == IN_MEMORY
    }

    /// It is handed to the store, so its end has to be, too. `false`: it has ended without the store.
    pub(crate) fn begin_keeping(&self) -> bool {
        let handed = |place| (place == IN_MEMORY).then_some(KEEPING);
        let before = self.place.fetch_update(Ordering::AcqRel, Ordering::Acquire, handed);
        before != Err(ENDED)
    }

    /// It ends without the store. `false`: it was handed over, and so must its end be.
    pub(crate) fn end_in_memory(&self) -> bool {
        self.place.compare_exchange(IN_MEMORY, ENDED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Nobody takes it up from the store until [`Self::release`].
    pub(crate) fn hold(&self, in_hand: Option<InHand>) {
        if in_hand.is_some() {
            *self.in_hand.lock().unwrap_or_else(PoisonError::into_inner) = in_hand;
        }
    }

    pub(crate) fn release(&self) {
        drop(self.let_hold());
    }

    /// As long as the answer lives instead.
    pub(crate) fn let_hold(&self) -> Option<InHand> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The sender's own ID of the request and the flow's dedupe key, which are not the same even when they look alike.
    /// Another sender may use the same one, and another flow may hear of it too.
    fn claims(&self) -> Vec<Claim> {
        if self.relaxed.is_some() {
            return Vec::new();
        }
        let sender = self.event.credential().map_or("", |name| name);
        let scope = |what: &str| format!("{}/{sender}{what}", self.flow).into();
        let replay = self.event.replay().filter(|_| self.replays.is_none()).map(|replay| Claim {
            scope: scope(""),
            key: replay.id.as_str().into(),
            window: replay.remember,
        });
        let dedupe = self.dedupe.as_ref().map(|(key, window)| Claim {
            scope: scope("/dedupe"),
            key: Arc::clone(key),
            window: *window,
        });
        replay.into_iter().chain(dedupe).collect()
    }

    pub(crate) fn new_run(&self, progress: Progress) -> NewRun {
        NewRun {
            run: Arc::clone(&self.run),
            flow: Arc::clone(&self.flow),
            attempt: self.attempt,
            seed: self.seed,
            started_at: self.started_at,
            event: Arc::clone(&self.event),
            bytes: self.bytes,
            claims: self.claims(),
            order: self.order.clone(),
            replays: self.replays.clone(),
            progress,
        }
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        if let Some(relaxed) = &self.relaxed
            && !self.is_kept()
        {
            relaxed.release(&self.event, &self.run);
        }
    }
}
