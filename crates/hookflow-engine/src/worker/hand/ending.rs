//! The end of a run on its way into the store, without its worker.
//!
//! Nobody waits for the end of a run that asks the world for nothing but who waits for its answer: were it lost, the run would
//! be carried again and nobody could tell. So its worker hands it in and takes the next run. What counts the run as in flight
//! goes along until it is stored, and what comes after it (the next of its key, the caller's answer) follows the commit.

use super::{Caller, Hand, conclusion, let_go, tell};
use crate::Conclusion;
use crate::engine::Inner;
use crate::queue::{FlowQueue, InHand};
use crate::ticket::Accepted;
use crate::worker::InFlight;
use hookflow_flow::{End, Flow, Reply};
use hookflow_runtime::fault_point;
use hookflow_store::{Progress, Recorded, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// How many runs of a flow may have ended without their ends being stored. Beyond, its workers wait.
pub(crate) const UNSTORED_ENDS: usize = 512;

/// How soon, and then how often at least, a write is tried again when the store cannot be written to.
const REWRITE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How many runs of this flow may have ended without their ends being stored: none when they could have asked the world for
/// something, or when each begins after the end of the one before. After a crash they may have been in flight as well.
pub(crate) fn unstored_ends(flow: &Flow) -> usize {
    if flow.plan.asks() || flow.queue.workers == 1 { 0 } else { UNSTORED_ENDS }
}

/// The end of a run that its worker has left.
pub(super) struct Ending {
    engine: Arc<Inner>,
    queue: Arc<FlowQueue>,
    flow: Arc<Flow>,
    accepted: Arc<Accepted>,
    progress: Progress,
    end: Arc<End>,
    reply: Option<Arc<Reply>>,
    caller: Caller,
    /// Who gets what it has emitted.
    to_tell: Vec<Arc<str>>,
    /// Nobody takes the run up before its end is stored.
    _in_hand: Option<InHand>,
    in_flight: Option<InFlight>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Hand<'_> {
    /// Whether its worker need not wait until the end is stored.
    pub(super) fn ends_by_itself(&self) -> bool {
        self.child.is_none() && unstored_ends(&self.flow) > 0
    }

    /// Hands the end in. Waits only for room.
    pub(super) async fn hand_in(mut self, progress: Progress, end: Arc<End>) {
        // It is never closed.
        let Ok(room) = self.heartbeat.wait(self.queue.room_for_ends().acquire_owned()).await else { return };
        let mut ending = self.ending(progress.clone(), end, Some(room));
        ending.in_flight = self.in_flight.take();
        let told = Box::new(move |outcome| ending.told(outcome));
        self.engine.store.hand_in(&self.engine.owner, &self.accepted.run, progress, told);
    }

    /// Its end, and what follows it.
    pub(super) fn ending(
        &mut self,
        progress: Progress,
        end: Arc<End>,
        room: Option<OwnedSemaphorePermit>,
    ) -> Ending {
        Ending {
            engine: Arc::clone(self.engine),
            queue: Arc::clone(self.queue),
            flow: Arc::clone(&self.flow),
            accepted: Arc::clone(&self.accepted),
            progress,
            end,
            reply: self.reply.take(),
            caller: self.caller.take(),
            to_tell: std::mem::take(&mut self.to_tell),
            _in_hand: self.accepted.let_hold(),
            in_flight: None,
            _room: room,
        }
    }
}

impl Ending {
    /// Called by the store's own side.
    pub(super) fn told(mut self, outcome: Result<Recorded, StoreError>) {
        match outcome {
            Err(StoreError::Unavailable(_) | StoreError::UnknownVersion) => {
                let engine = Arc::clone(&self.engine);
                let _on_our_threads = engine.runtime.enter();
                engine.tasks.spawn("end of a run", async move {
                    let Self { engine, flow, accepted, progress, caller, .. } = &mut self;
                    let written = engine.record(flow, &accepted.run, progress, || *caller = None).await;
                    self.settled(written);
                });
            }
            outcome => self.settled(outcome),
        }
    }

    /// Nothing of the run is kept.
    pub(super) fn tell_of_nothing(mut self, conclusion: Conclusion) {
        tell(&mut self.caller, conclusion);
    }

    fn settled(mut self, outcome: Result<Recorded, StoreError>) {
        match outcome {
            Ok(recorded) => {
                fault_point("engine.answering");
                tell(&mut self.caller, conclusion(self.reply.take(), &self.end));
                self.engine.lanes.tell(&self.to_tell);
                if let Some(next) = recorded.promoted {
                    self.queue.take_up(&self.engine, &next, true);
                }
            }
            // Dropping the caller tells it.
            Err(error) => let_go(&self.accepted, &error),
        }
    }
}

impl Inner {
    /// Writes to a run that is kept. While the store is away this goes on, for the run was promised; `is_away` is told at once.
    pub(super) async fn record(
        &self,
        flow: &Flow,
        run: &Arc<str>,
        progress: &Progress,
        mut is_away: impl FnMut(),
    ) -> Result<Recorded, StoreError> {
        let mut pause = Pause::default();
        loop {
            let mut written = self.store.record(&self.owner, run, progress.clone()).await;
            if written == Err(StoreError::UnknownVersion) {
                // Replaced by so many others since the run began that the store has forgotten it.
                let Flow { plan, document, .. } = flow;
                match self.store.keep_version(&plan.flow, &plan.version, document).await {
                    Ok(()) => continue,
                    Err(error) => written = Err(error),
                }
            }
            match written {
                Err(StoreError::Unavailable(why)) => {
                    is_away();
                    pause.wait_for_store(self, run, &why).await;
                }
                settled => return settled,
            }
        }
    }
}

/// How long a run waits before it tries again to write: longer each time.
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(REWRITE.0)
    }
}

impl Pause {
    pub(super) async fn wait_for_store(&mut self, engine: &Inner, run: &str, why: &str) {
        tracing::error!(run, why, "a run waits for the store");
        engine.clock.sleep(self.0).await;
        self.0 = (self.0 * 2).min(REWRITE.1);
    }
}
