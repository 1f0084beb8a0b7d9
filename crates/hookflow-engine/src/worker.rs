//! A worker takes one event after the other and carries each run to its end, or until it is parked. While a run waits for
//! a call it keeps its worker, so a flow has at most `queue.workers` runs under way.

pub(crate) mod crew;
pub(crate) mod hand;

use crate::Conclusion;
use crate::engine::Inner;
use crate::queue::{Caller, FlowQueue, InHand, Item, QueuePlace, Taken, Work};
use crate::ticket::Accepted;
use crate::versions::VersionFault;
use hand::Hand;
use hookflow_flow::Flow;
use hookflow_runtime::Heartbeat;
use hookflow_store::{Journal, Parked, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// How soon a stored run is asked for again when the store did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// One of a flow's workers.
pub(crate) struct Worker {
    engine: Arc<Inner>,
    queue: Arc<FlowQueue>,
    /// Whether the queue still counts it.
    counted: bool,
}

impl Worker {
    /// A worker that the queue has counted.
    pub(crate) fn new(engine: Arc<Inner>, queue: Arc<FlowQueue>) -> Self {
        engine.crew.join();
        Self { engine, queue, counted: true }
    }

    /// Works until there has been nothing to do for a while, or the service goes down and the queue is empty. One that
    /// comes with its `first` event is on the thread of whoever brought it: it leaves when there is no other, and goes on
    /// with others as a task of its own.
    pub(crate) async fn work(mut self, first: Option<Item>) {
        let heartbeat = self.engine.heartbeats.register_late("flow worker");
        let mut lent = first.is_some();
        if let Some(item) = first {
            self.carry(&heartbeat, item).await;
        }
        let (mut was_idle, mut stays) = (false, !lent);
        loop {
            let queue = Arc::clone(&self.queue);
            let work = queue.work();
            match queue.take(&self.engine, was_idle, stays) {
                Taken::Item(item) => {
                    was_idle = false;
                    stays = !self.engine.soft.is_set();
                    if std::mem::take(&mut lent) {
                        tokio::task::yield_now().await;
                    }
                    self.carry(&heartbeat, item).await;
                }
                Taken::Nothing => {
                    was_idle = true;
                    let mut soft = self.engine.soft.clone();
                    let came = async {
                        tokio::select! {
                            biased;
                            () = work => true,
                            () = soft.wait() => false,
                        }
                    };
                    stays = heartbeat.wait_up_to(self.engine.limits.idle_worker, came).await.unwrap_or(false);
                }
                Taken::Leave => {
                    self.counted = false;
                    return heartbeat.end();
                }
            }
        }
    }

    async fn carry(&self, heartbeat: &Heartbeat, item: Item) {
        heartbeat.wait(self.engine.trials.wait()).await;
        carry(&self.engine, &self.queue, heartbeat, item).await;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.counted {
            self.queue.worker_lost();
        }
        self.engine.crew.leave();
    }
}

/// One run, from the queue to its end or until it is parked.
pub(crate) async fn carry(engine: &Arc<Inner>, queue: &Arc<FlowQueue>, heartbeat: &Heartbeat, item: Item) {
    let Item { work, caller, place } = item;
    let permit = match Arc::clone(&engine.in_flight).try_acquire_owned() {
        Ok(permit) => Ok(permit),
        Err(_) => heartbeat.wait(Arc::clone(&engine.in_flight).acquire_owned()).await,
    };
    let Ok(permit) = permit else { return }; // It is never closed.
    let (accepted, owed) = match work {
        Work::Fresh(accepted) => (accepted, None),
        Work::Owed(owed) => (Arc::clone(&owed.accepted), Some(owed)),
        Work::Stored(in_hand) => {
            // Boxed, for else every worker has room for it.
            let run = Arc::clone(&in_hand.run);
            let carried =
                Box::pin(stored((engine, queue), heartbeat, in_hand, permit, (caller, place))).await;
            if let Err(error) = carried {
                let (run, flow) = (&*run, queue.flow());
                tracing::error!(run, flow, %error, "a stored run cannot be taken up; it stays where it is");
            }
            return;
        }
    };
    let in_flight = InFlight::begin(engine, permit, queue.started(place), None);
    let flow = queue.begins_on(caller.as_ref());
    let hand = Hand::new(engine, queue, heartbeat, flow, accepted, caller);
    drop(hand.holding(in_flight, owed).carry(None).await);
}

/// A run that lies in the store.
async fn stored(
    (engine, queue): (&Arc<Inner>, &Arc<FlowQueue>),
    heartbeat: &Heartbeat,
    in_hand: InHand,
    permit: OwnedSemaphorePermit,
    (caller, place): (Option<Caller>, QueuePlace),
) -> Result<(), VersionFault> {
    let journal = loop {
        match heartbeat.wait(engine.store.load(&in_hand.run)).await {
            Ok(journal) => break journal,
            Err(StoreError::Unavailable(why)) => {
                tracing::error!(run = &*in_hand.run, why, "a stored run waits for the store");
                heartbeat.wait(engine.clock.sleep(ASK_AGAIN)).await;
            }
            Err(StoreError::UnknownRun) => {
                place.did_not_count();
                return Ok(());
            }
            Err(StoreError::Damaged(why)) => {
                drop(queue.started(place));
                let set_aside = engine.set_aside_unread(queue, &in_hand.run, &why);
                let fault = heartbeat.wait(set_aside).await?;
                if let Some(caller) = caller {
                    caller.tell(Conclusion::Failed(fault));
                }
                return Ok(());
            }
            Err(error) => {
                drop(queue.started(place));
                return Err(error.into());
            }
        }
    };
    if !has_to_go_on(engine, &journal) {
        place.did_not_count();
        return Ok(());
    }
    let in_flight = InFlight::begin(engine, permit, queue.started(place), Some(in_hand));
    let flow = begun_on(engine, queue, &journal, caller.as_ref()).await?;
    let accepted = Arc::new(Accepted::of(&journal));
    let hand = Hand::new(engine, queue, heartbeat, flow, accepted, caller);
    drop(hand.holding(in_flight, None).carry(Some(journal)).await);
    Ok(())
}

/// A run that lay on a list may have ended or been parked meanwhile.
fn has_to_go_on(engine: &Inner, journal: &Journal) -> bool {
    let progress = &journal.run.progress;
    let waits = |parked: Parked| {
        journal.inbox.len() <= parked.heard && parked.until.is_none_or(|until| until > engine.clock.now())
    };
    progress.ended.is_none() && !progress.parked.is_some_and(waits)
}

/// A run that has begun stays on its version.
pub(crate) async fn begun_on(
    engine: &Inner,
    queue: &FlowQueue,
    journal: &Journal,
    caller: Option<&Caller>,
) -> Result<Arc<Flow>, VersionFault> {
    let (flow, progress) = (queue.begins_on(caller), &journal.run.progress);
    if progress.begun_at.is_none() || flow.plan.version == progress.version {
        return Ok(flow);
    }
    engine.plan_of(&journal.run.flow, &progress.version).await
}

/// Counts a run as in flight until it has left its worker and its end is stored, and its bytes as in memory; if it lay in the
/// store, nobody else takes it up meanwhile.
pub(crate) struct InFlight {
    engine: Arc<Inner>,
    _permit: OwnedSemaphorePermit,
    _memory: QueuePlace,
    _in_hand: Option<InHand>,
}

impl InFlight {
    fn begin(
        engine: &Arc<Inner>,
        permit: OwnedSemaphorePermit,
        memory: QueuePlace,
        in_hand: Option<InHand>,
    ) -> Self {
        engine.metrics.in_flight.inc();
        Self { engine: Arc::clone(engine), _permit: permit, _memory: memory, _in_hand: in_hand }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.engine.metrics.in_flight.dec();
    }
}
