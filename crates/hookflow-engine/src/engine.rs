//! The engine: what all flows share, and the swap of generations.

use crate::delivering::Lanes;
use crate::due::Changes;
use crate::generation::LiveFlows;
use crate::inbox::Hands;
use crate::integrations::InForce;
use crate::pausing::Pauses;
use crate::queue::{FlowQueue, Full, Overall, QueuePlace};
use crate::recovery::Trials;
use crate::versions::{VersionFault, Versions};
use crate::worker::crew::Crew;
use crate::{Generation, Limits, LiveFlow, LiveIntegration, Metrics, StandIn};
use arc_swap::ArcSwap;
use hookflow_flow::Flow;
use hookflow_outbound::Caller;
use hookflow_runtime::{Chance, Clock, Heartbeats, Tasks, Token};
use hookflow_store::{Owner, Pending, Store, StoreError};
use hookflow_trigger::Credentials;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

/// How long workers that were dropped may take to be gone.
const CLOSING: Duration = Duration::from_secs(5);

/// Takes events in and carries their runs to their ends. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Inner>);

/// What an engine is made of.
pub struct Parts {
    /// The node's name in the store.
    pub node: Arc<str>,
    /// Where events and runs are kept.
    pub store: Arc<dyn Store>,
    /// Performs calls.
    pub caller: Caller,
    /// The clock.
    pub clock: Clock,
    /// IDs and seeds.
    pub chance: Chance,
    /// Whose shutdown the engine follows.
    pub tasks: Tasks,
    /// Where workers beat.
    pub heartbeats: Heartbeats,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The bounds that all flows share.
    pub limits: Limits,
    /// What takes the place of the world, where flows are tested.
    pub stand_in: Option<Arc<dyn StandIn>>,
}

pub(crate) struct Inner {
    pub owner: Owner,
    pub store: Arc<dyn Store>,
    pub caller: Caller,
    pub clock: Clock,
    pub chance: Chance,
    pub tasks: Tasks,
    pub heartbeats: Heartbeats,
    pub metrics: Arc<Metrics>,
    pub limits: Limits,
    pub stand_in: Option<Arc<dyn StandIn>>,
    /// First come, first served, over all flows; each flow waits with at most its workers.
    pub in_flight: Arc<Semaphore>,
    pub soft: Token,
    /// Runs that may be to blame for a crash are tried before any other starts.
    pub trials: Trials,
    /// Runs in a worker's hand that hear of what comes from elsewhere.
    pub hands: Hands,
    /// A run was parked, or one that was due has left its worker.
    pub due_changed: Arc<Changes>,
    /// Workers may be started by the store's own thread.
    pub runtime: Handle,
    /// The workers of all flows.
    pub crew: Crew,
    letting_go: watch::Sender<bool>,
    overall: Arc<Overall>,
    pub versions: Versions,
    pub integrations: InForce,
    /// Where deliveries go.
    pub lanes: Lanes,
    generation: ArcSwap<Generation>,
    queues: Mutex<HashMap<Arc<str>, Arc<FlowQueue>>>,
    /// The flows that operators have paused.
    pub pauses: Pauses,
    /// Held by whoever changes what is in force.
    pub installing: tokio::sync::Mutex<()>,
}

impl Engine {
    /// An engine without flows yet. Must be called within a runtime, on which the workers will run.
    pub async fn new(parts: Parts) -> Result<Self, StoreError> {
        let Parts { node, store, caller, clock, chance, tasks, heartbeats, metrics, limits, stand_in } =
            parts;
        let nothing = Generation { number: 0, base_url: "".into(), flows: LiveFlows::default() };
        let life = store.register(&node).await?;
        let (pauses, lanes) = (Pauses::kept(&*store).await?, Lanes::kept(&*store).await?);
        let engine = Arc::new(Inner {
            trials: Trials::new(&life, clock.now()),
            owner: life.owner,
            hands: Hands::default(),
            due_changed: Arc::default(),
            in_flight: Arc::new(Semaphore::new(most_in_flight(&limits))),
            soft: tasks.soft(),
            runtime: Handle::current(),
            crew: Crew::default(),
            letting_go: watch::Sender::new(false),
            overall: Arc::new(Overall::new(limits.queued_bytes)),
            versions: Versions::new(Arc::clone(&store), tasks.clone()),
            integrations: InForce::default(),
            lanes,
            generation: ArcSwap::from_pointee(nothing),
            queues: Mutex::default(),
            pauses,
            installing: tokio::sync::Mutex::new(()),
            store,
            caller,
            clock,
            chance,
            tasks,
            heartbeats,
            metrics,
            limits,
            stand_in,
        });
        engine.tasks.spawn("engine shutdown", Arc::clone(&engine).shut_down());
        Ok(Self(engine))
    }

    /// Puts flows in force, all at once, in place of those before. Their versions are kept first; when the store does
    /// not take them, nothing changes. Queues outlive it: the same ID is the same queue.
    pub async fn install(
        &self,
        flows: Vec<Arc<Flow>>,
        base_url: impl Into<Arc<str>>,
    ) -> Result<Arc<Generation>, StoreError> {
        let engine = &self.0;
        let _one_at_a_time = engine.installing.lock().await;
        let kept: Vec<_> = flows.iter().map(|flow| engine.keep_version(flow)).collect();
        for kept in kept {
            kept.await?;
        }
        let number = engine.generation.load().number + 1;
        let flows = engine.serve(flows);
        let generation = Arc::new(Generation { number, base_url: base_url.into(), flows });
        engine.generation.store(Arc::clone(&generation));
        tracing::info!(generation = number, flows = generation.flows.len(), "flows are in force");
        Ok(generation)
    }

    /// Which credentials the `wait` steps of flows of former days know from now on: those in force.
    pub async fn trust(&self, credentials: Arc<Credentials>) {
        self.0.versions.trust(credentials).await;
    }

    /// Puts integrations in force, all at once, in place of those before. How fast they may be called is not begun anew.
    pub fn integrate(&self, integrations: Vec<LiveIntegration>) {
        self.0.integrations.replace(integrations, &self.0.caller);
    }

    /// The flows in force.
    pub fn generation(&self) -> Arc<Generation> {
        self.0.generation()
    }

    /// A place in a flow's queue for an event of so many bytes, taken before anything else is done for it. Dropping it
    /// gives it back.
    pub fn reserve(&self, live: &LiveFlow, bytes: u64) -> Result<QueuePlace, Full> {
        live.queue.reserve(&live.flow.queue, bytes)
    }

    /// Ends the node's life in the store, and says in the log what the end of the process does to what was accepted and
    /// has not ended. To be called last.
    pub async fn close(&self) {
        let engine = &self.0;
        if engine.tasks.hard().is_set() {
            // Workers that were dropped have written what is owed once they are gone.
            if engine.clock.timeout(CLOSING, engine.crew.gone()).await.is_err() {
                tracing::error!(
                    "a worker does not end; what relaxed flows have accepted may be lost with it"
                );
            }
        }
        engine.let_go();
        if let Err(error) = engine.store.retire(&engine.owner).await {
            tracing::error!(%error, "the store does not take the end of the service");
        }
        let events = match engine.store.counts(&engine.owner.node).await {
            Ok(counts) => counts.iter().map(|count| count.events).sum::<u64>(),
            Err(error) => return tracing::error!(%error, "the store does not say what is unfinished"),
        };
        match (events, engine.store.is_durable()) {
            (0, _) => tracing::info!("no event is unfinished"),
            (events, true) => tracing::info!(events, "unfinished events go on at the next start"),
            (events, false) => {
                tracing::error!(events, "accepted events are lost: this store keeps them in memory only");
            }
        }
    }
}

impl Inner {
    /// What the events of all flows take in memory.
    #[cfg(test)]
    pub(crate) fn overall_bytes(&self) -> u64 {
        self.overall.bytes()
    }

    /// The flows in force.
    pub(crate) fn generation(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    /// Set when nobody may wait for an answer any longer and no queued event may start.
    pub(crate) fn letting_go(&self) -> watch::Receiver<bool> {
        self.letting_go.subscribe()
    }

    /// A flow in force.
    pub(crate) fn live(&self, flow: &str) -> Option<Arc<LiveFlow>> {
        self.generation.load().flows.get(flow).cloned()
    }

    pub(crate) fn keep_version(&self, flow: &Flow) -> Pending<()> {
        self.store.keep_version(&flow.id, &flow.plan.version, &flow.document)
    }

    /// The queue of a flow that has runs in the store. A flow that is no more is served as it was when `version` was.
    pub(crate) async fn queue_of(
        self: &Arc<Self>,
        flow: &Arc<str>,
        version: &Arc<str>,
    ) -> Result<Arc<FlowQueue>, VersionFault> {
        if let Some(queue) = self.queue_if_there(flow) {
            return Ok(queue);
        }
        let stored = self.plan_of(flow, version).await?;
        tracing::warn!(flow = &**flow, "the flow is gone; its events run on the version that they came to");
        Ok(self.queue(&mut self.queues(), &stored))
    }

    pub(crate) fn all_queues(&self) -> Vec<Arc<FlowQueue>> {
        self.queues().values().cloned().collect()
    }

    /// Nobody waits any longer, and nothing that is queued starts.
    fn let_go(&self) {
        self.letting_go.send_replace(true);
        let left: usize = self.all_queues().iter().map(|queue| queue.close()).sum();
        if left > 0 {
            tracing::warn!(events = left, "queued events do not start any more");
        }
    }

    pub(crate) fn queue_if_there(&self, flow: &str) -> Option<Arc<FlowQueue>> {
        self.queues().get(flow).cloned()
    }

    fn queue(
        self: &Arc<Self>,
        queues: &mut HashMap<Arc<str>, Arc<FlowQueue>>,
        flow: &Arc<Flow>,
    ) -> Arc<FlowQueue> {
        let queue = queues.entry(Arc::clone(&flow.id)).or_insert_with(|| {
            let (overall, metrics) = (Arc::clone(&self.overall), Arc::clone(&self.metrics));
            let queue = Arc::new(FlowQueue::new(Arc::clone(flow), overall, metrics, self.clock.clone()));
            queue.hold(self, self.pauses.since(&flow.id));
            queue
        });
        Arc::clone(queue)
    }

    fn serve(self: &Arc<Self>, flows: Vec<Arc<Flow>>) -> LiveFlows {
        let mut queues = self.queues();
        let live: LiveFlows = flows
            .into_iter()
            .map(|flow| {
                let queue = self.queue(&mut queues, &flow);
                queue.serve(self, &flow);
                (Arc::clone(&flow.id), Arc::new(LiveFlow { flow, queue }))
            })
            .collect();
        // A flow that is gone keeps its queue until the last event has left it.
        queues.retain(|id, queue| {
            let stays = live.contains_key(id) || !queue.is_idle();
            if !stays {
                queue.forget_series();
            }
            stays
        });
        live
    }

    /// Waits for the shutdown, and within its patience for the workers and for ends on their way into the store; then lets
    /// go of whoever still waits.
    async fn shut_down(self: Arc<Self>) {
        // The hard step drops this future at any await, and lets go all the same.
        let _at_last = LetGo(Arc::clone(&self));
        self.soft.clone().wait().await;
        let ended = async {
            self.crew.gone().await;
            let all = u32::try_from(most_in_flight(&self.limits)).unwrap_or(u32::MAX);
            // Nobody closes it, so this cannot fail.
            drop(self.in_flight.acquire_many(all).await);
        };
        if self.clock.timeout(self.limits.patience, ended).await.is_err() {
            tracing::warn!("the shutdown does not wait any longer for runs and calls");
        }
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<FlowQueue>>> {
        // Nothing under the lock can panic half way.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn most_in_flight(limits: &Limits) -> usize {
    limits.runs_in_flight.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize))
}

struct LetGo(Arc<Inner>);

impl Drop for LetGo {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("generation", &self.0.generation.load().number)
            .field("workers", &self.0.crew.size())
            .finish_non_exhaustive()
    }
}
