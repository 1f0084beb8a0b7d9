//! The start: what the former life of the node has left.
//!
//! Nothing marks a run's start, so after a crash every run that may have been in flight is a suspect. One crash is no
//! proof; who was there twice is tried alone, before any other run starts; who was alone in flight when the node died
//! again is set aside as poison.

use crate::Engine;
use crate::engine::Inner;
use crate::queue::{FlowQueue, Item};
use crate::versions::VersionFault;
use crate::worker;
use crate::worker::hand::unstored_ends;
use hookflow_runtime::fault_point;
use hookflow_store::{Life, Progress, StoreError, UnfinishedRun};
use jiff::Timestamp;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// After so many crashes a run is tried alone.
const TRIED_AFTER: u32 = 2;
/// How long a run on trial has the node for itself.
const TRIAL: Duration = Duration::from_secs(5);
/// How many due runs may have been in flight.
const DUE_SUSPECTS: usize = 1_000;
/// How many events of a flow that is gone are looked into for its version.
const LOOKED_INTO: usize = 100;

/// What is known of the former life, and whether runs may start.
pub(crate) struct Trials {
    clean: bool,
    /// When this life began.
    pub(crate) since: Timestamp,
    /// Who may have been in flight when the former one ended out of order.
    suspects: OnceLock<HashSet<Arc<str>>>,
    /// The last turn that what is found may have.
    pub(crate) last_turn: AtomicU64,
    alone: Mutex<Option<Arc<str>>>,
    /// The way for a run that is not on trial: one look.
    over: AtomicBool,
    /// Wakes who waits in the order in which they came.
    ended: Notify,
}

impl Trials {
    pub(crate) fn new(life: &Life, since: Timestamp) -> Self {
        Self {
            clean: life.clean,
            since,
            suspects: OnceLock::new(),
            last_turn: AtomicU64::new(life.last_turn),
            alone: Mutex::new(life.alone.clone()),
            over: AtomicBool::new(true),
            ended: Notify::new(),
        }
    }

    /// Whether a worker may have had the run in hand in a former life. That a run begins is not written, so of one that
    /// has written nothing only this much is known: it may have been in flight.
    pub(crate) fn was_in_hand(&self, run: &str, progress: &Progress) -> bool {
        let rested = self.clean && progress.parked.is_some();
        let suspected = || self.suspects.get().is_some_and(|suspects| suspects.contains(run));
        (progress.begun_at.is_some() && !rested) || suspected()
    }

    /// Waits until any run may start.
    pub(crate) async fn wait(&self) {
        while !self.over.load(Ordering::Acquire) {
            // Made before the second look, it misses no end that comes after.
            let ended = self.ended.notified();
            if !self.over.load(Ordering::Acquire) {
                ended.await;
            }
        }
    }

    fn set_over(&self, over: bool) {
        self.over.store(over, Ordering::Release);
        self.ended.notify_waiters();
    }
}

impl Engine {
    /// Takes over what the former life of the node has left. To be called once, after the first flows are in force and
    /// before anything is admitted.
    pub async fn recover(&self) -> Result<(), StoreError> {
        let engine = &self.0;
        let suspects = if engine.trials.clean { Vec::new() } else { engine.suspects().await? };
        fault_point("engine.recovering");
        let mut tried = Vec::new();
        for Suspect { row, counts } in suspects {
            // In hand before the queues load what waits: nobody else is to begin with it.
            if let Some(queue) = engine.queue_of_stored(&row.flow).await?
                // Nothing of a flow that is paused starts.
                && !queue.is_paused()
                && let Some(item) = queue.stored_item(engine, &row, counts)
            {
                tried.push((row, queue, item));
            }
        }
        if !tried.is_empty() {
            engine.trials.set_over(false);
        }
        let mut events = 0;
        for count in engine.store.counts(&engine.owner.node).await? {
            events += count.events;
            if let Some(queue) = engine.queue_of_stored(&count.flow).await? {
                queue.found(
                    engine,
                    engine.trials.last_turn.load(Ordering::Relaxed),
                    count.events,
                    count.bytes,
                );
            }
        }
        if events > 0 {
            tracing::info!(events, "accepted events of the former life go on");
        }
        if !tried.is_empty() {
            engine.tasks.spawn("trials", Arc::clone(engine).try_alone(tried));
        }
        engine.tasks.spawn("due runs", Arc::clone(engine).take_up_due());
        Ok(())
    }
}

/// A run that is tried alone.
struct Suspect {
    row: UnfinishedRun,
    /// Whether it counts among its flow's waiting events.
    counts: bool,
}

impl Inner {
    /// Counts the crash against every run that may have been in flight, sets aside who was alone in flight, and returns
    /// who is to be tried alone.
    async fn suspects(self: &Arc<Self>) -> Result<Vec<Suspect>, StoreError> {
        let (store, node) = (&self.store, &self.owner.node);
        let mut suspects = Vec::new();
        for count in store.counts(node).await? {
            if self.pauses.since(&count.flow).is_some() {
                continue; // The pause stood when the node died, so nothing of it had started.
            }
            let serving = self.queue_if_there(&count.flow).map(|queue| queue.serving());
            // As many as could be under way, and as many as may have ended without that being stored.
            let most = serving.map(|flow| flow.queue.workers + unstored_ends(&flow));
            let limit = most.unwrap_or(DUE_SUSPECTS).min(DUE_SUSPECTS);
            let rows = store.ready(node, &count.flow, 0, limit).await?;
            suspects.extend(rows.into_iter().map(|row| Suspect { row, counts: true }));
        }
        let due = store.due(node, self.clock.now(), DUE_SUSPECTS).await?;
        suspects.extend(due.runs.into_iter().map(|row| Suspect { row, counts: false }));
        let runs: Vec<_> = suspects.iter().map(|suspect| Arc::clone(&suspect.row.run)).collect();
        self.trials.suspects.get_or_init(|| runs.iter().cloned().collect());
        let crashes = store.suspect(&self.owner, runs).await?;
        tracing::warn!(suspects = suspects.len(), "the former life of the service did not end in order");
        let alone = self.trials.alone.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(run) = &alone {
            self.set_aside_poison(run).await?;
        }
        let tried = suspects.into_iter().zip(crashes);
        let tried = tried
            .filter(|(suspect, crashes)| *crashes >= TRIED_AFTER && Some(&suspect.row.run) != alone.as_ref());
        Ok(tried.map(|(suspect, _)| suspect).collect())
    }

    /// Carries each suspect while nothing else runs, then lets all others start.
    async fn try_alone(self: Arc<Self>, suspects: Vec<(UnfinishedRun, Arc<FlowQueue>, Item)>) {
        for (row, queue, item) in suspects {
            if self.soft.is_set() {
                break;
            }
            tracing::warn!(
                run = &*row.run,
                flow = &*row.flow,
                "a run is tried alone: it may have taken the service down"
            );
            if let Err(error) = self.store.alone(&self.owner, Some(&row.run)).await {
                tracing::error!(run = &*row.run, %error, "the store does not take who is tried");
            }
            self.try_one(queue, item).await;
            if let Err(error) = self.store.alone(&self.owner, None).await {
                tracing::error!(run = &*row.run, %error, "the store does not take who was tried");
            }
        }
        self.trials.set_over(true);
    }

    async fn try_one(self: &Arc<Self>, queue: Arc<FlowQueue>, item: Item) {
        let engine = Arc::clone(self);
        let (tell, over) = oneshot::channel::<()>();
        self.tasks.spawn("trial", async move {
            let heartbeat = engine.heartbeats.register("trial");
            worker::carry(&engine, &queue, &heartbeat, item).await;
            heartbeat.end();
            drop(tell);
        });
        // Told by its drop. Who takes longer waits for others, and is not what stops the processor.
        drop(self.clock.timeout(TRIAL, over).await);
    }

    pub(crate) async fn queue_of_run(
        self: &Arc<Self>,
        run: &Arc<str>,
    ) -> Result<Arc<FlowQueue>, VersionFault> {
        let journal = self.store.load(run).await?;
        self.queue_of(&journal.run.flow, &journal.run.progress.version).await
    }

    async fn queue_of_stored(
        self: &Arc<Self>,
        flow: &Arc<str>,
    ) -> Result<Option<Arc<FlowQueue>>, StoreError> {
        if let Some(queue) = self.queue_if_there(flow) {
            return Ok(Some(queue));
        }
        // The first that can be read tells the version.
        for row in self.store.ready(&self.owner.node, flow, 0, LOOKED_INTO).await? {
            match self.queue_of_run(&row.run).await {
                Ok(queue) => return Ok(Some(queue)),
                Err(VersionFault::Store(StoreError::Damaged(_))) => {}
                Err(VersionFault::Store(error)) => return Err(error),
                Err(error) => {
                    tracing::error!(flow = &**flow, %error, "events of a flow that is gone wait until it is back");
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }
}
