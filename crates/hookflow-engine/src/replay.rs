//! What an operator does to a run: begins its event anew, or ends it.

use crate::engine::Inner;
use crate::queue::{Item, QueuePlace, Work};
use crate::{Engine, Full, LiveFlow, VersionFault};
use hookflow_flow::{Fact, Flow, Start, facts_before};
use hookflow_store::{Admitted, Inbound, Journal, NewRun, Posted, Progress, StoreError};
use std::sync::Arc;
use tokio::sync::oneshot;

/// How a run's event is run again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Again {
    /// The step to begin at: the outcomes of the steps before it are taken over. `None`: everything is done anew.
    pub from: Option<String>,
    /// On which version of the flow.
    pub version: OnVersion,
}

/// On which version of its flow a run's event is run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnVersion {
    /// The one in force.
    #[default]
    Latest,
    /// The one that the run was on.
    Same,
}

/// Why a run's event is not run again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayRefusal {
    /// No such run is kept.
    #[error("no such run is kept")]
    UnknownRun,
    /// It goes on, and what it does would be done twice.
    #[error("the run has not ended; cancel it first")]
    Unfinished,
    /// Nobody would take the run up.
    #[error("the flow `{0}` is not in force any more")]
    FlowGone(Arc<str>),
    /// The version has no such step.
    #[error("the flow has no step `{0}` in this version")]
    UnknownStep(String),
    /// There is no place in the flow's queue now.
    #[error("the flow's queue is full")]
    Full(Full),
    /// The version that the run was on is not to be had.
    #[error(transparent)]
    Version(VersionFault),
    /// The store cannot be read or written to.
    #[error(transparent)]
    Store(StoreError),
    /// The service is going down.
    #[error("the service is shutting down")]
    ShuttingDown,
}

/// Why a run is not cancelled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CancelRefusal {
    /// No such run is kept.
    #[error("no such run is kept")]
    UnknownRun,
    /// There is nothing to cancel.
    #[error("the run has ended")]
    Ended,
    /// The store cannot be written to.
    #[error(transparent)]
    Store(StoreError),
}

impl Engine {
    /// Runs an ended run's event again, as it came: a new run with attempts of its own, which waits in the flow's queue
    /// like any other. It claims nothing, for whoever asks for it wants it twice. Returns its ID once it is kept.
    pub async fn replay(&self, run: &str, again: &Again) -> Result<Arc<str>, ReplayRefusal> {
        let engine = &self.0;
        if engine.soft.is_set() {
            return Err(ReplayRefusal::ShuttingDown);
        }
        let former = engine.store.load(run).await.map_err(ReplayRefusal::from)?;
        if former.run.progress.ended.is_none() {
            return Err(ReplayRefusal::Unfinished);
        }
        let generation = engine.generation();
        let live = generation.flows.get(&former.run.flow);
        let live = live.ok_or_else(|| ReplayRefusal::FlowGone(Arc::clone(&former.run.flow)))?;
        let mut place = self.reserve(live, former.run.bytes).map_err(ReplayRefusal::Full)?;
        let new_run = engine.new_run(&former, again, live, &place).await?;
        let run = Arc::clone(&new_run.run);
        let (sender, answer) = oneshot::channel();
        let (engine, queue) = (Arc::clone(engine), Arc::clone(&live.queue));
        let (own, kept) = (Arc::clone(&engine), Arc::clone(&run));
        let settled = Box::new(move |outcome: Result<Admitted, StoreError>| {
            if let Ok(Admitted::Kept { turn, behind }) = outcome {
                match queue.take_in_hand(&own, &kept) {
                    Some(in_hand) => {
                        let item = Item { work: Work::Stored(in_hand), caller: None, place };
                        queue.kept(&own, turn, behind, item);
                    }
                    // Who loads what waits was faster.
                    None => place.stays_counted(),
                }
            }
            // Nobody listens when the caller's future was dropped.
            drop(sender.send(outcome));
        });
        engine.store.admit(&engine.owner, engine.clock.now(), vec![(new_run, settled)]);
        match answer.await {
            // Without claims it is no duplicate.
            Ok(Ok(_)) => Ok(run),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(StoreError::Unavailable("the store has stopped".into()).into()),
        }
    }

    /// Asks a run to end. Whoever has it in hand hears of it; what it has sent it has sent.
    pub async fn cancel(&self, run: &str) -> Result<(), CancelRefusal> {
        let inbound = Inbound::Cancel { at: self.0.clock.now() };
        match self.post(run, inbound).await {
            Ok(Posted::Kept { .. } | Posted::Again) => Ok(()),
            Ok(Posted::Over) | Err(StoreError::Ended) => Err(CancelRefusal::Ended),
            Err(StoreError::UnknownRun) => Err(CancelRefusal::UnknownRun),
            Err(error) => Err(CancelRefusal::Store(error)),
        }
    }
}

impl Inner {
    async fn new_run(
        &self,
        former: &Journal,
        again: &Again,
        live: &LiveFlow,
        place: &QueuePlace,
    ) -> Result<NewRun, ReplayRefusal> {
        let was = &former.run;
        let (version, now) = (&was.progress.version, self.clock.now());
        let flow = match again.version {
            OnVersion::Latest => Arc::clone(&live.flow),
            OnVersion::Same => self.plan_of(&was.flow, version).await.map_err(ReplayRefusal::Version)?,
        };
        let mut new_run = NewRun {
            run: self.chance.uuid_v7().to_string().into(),
            flow: Arc::clone(&was.flow),
            attempt: was.attempt.saturating_add(1),
            // Random values before the step are what they were, as its outcomes may hold them.
            seed: if again.from.is_some() { was.seed } else { self.chance.bytes() },
            started_at: now,
            event: Arc::clone(&was.event),
            bytes: place.bytes(),
            claims: Vec::new(),
            order: was.order.clone(),
            replays: Some(Arc::clone(was.replays.as_ref().unwrap_or(&was.run))),
            progress: Progress::none(Arc::clone(&flow.plan.version)),
        };
        // A run that has begun stays on its version.
        if again.version == OnVersion::Same || again.from.is_some() {
            new_run.progress.begun_at = Some(now);
        }
        if let Some(from) = &again.from {
            let is_same = flow.plan.version == *version;
            let plan_of = self.plan_of(&was.flow, version);
            let had =
                if is_same { Arc::clone(&flow) } else { plan_of.await.map_err(ReplayRefusal::Version)? };
            let flows = (had, flow);
            new_run.progress.facts = self.taken_over(&new_run, was, flows, from).await?;
        }
        Ok(new_run)
    }

    /// The outcomes of the steps before `from`.
    async fn taken_over(
        &self,
        new_run: &NewRun,
        was: &NewRun,
        (had, has): (Arc<Flow>, Arc<Flow>),
        from: &str,
    ) -> Result<Vec<Arc<Fact>>, ReplayRefusal> {
        let start = Start {
            run: Arc::clone(&new_run.run),
            started_at: new_run.started_at,
            seed: new_run.seed,
            event: Arc::clone(&new_run.event),
            attempt: new_run.attempt,
            deadline: None,
        };
        let (facts, step) = (was.progress.facts.clone(), from.to_owned());
        let taken =
            self.tasks.blocking("replay", move || facts_before(&had.plan, &facts, &has.plan, start, &step));
        taken.await.ok_or_else(|| ReplayRefusal::UnknownStep(from.to_owned()))
    }
}

impl From<StoreError> for ReplayRefusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::UnknownRun => Self::UnknownRun,
            error => Self::Store(error),
        }
    }
}
