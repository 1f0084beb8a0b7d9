//! A worker takes one event after the other and carries each run to its end. While a run waits for a call it keeps its
//! worker, so a flow has at most `queue.workers` runs under way.

mod hand;

use crate::engine::Inner;
use crate::queue::{FlowQueue, Item, Taken};
use hand::Hand;
use hookflow_runtime::Heartbeat;
use std::sync::Arc;

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
        engine.workers.send_modify(|workers| *workers += 1);
        Self { engine, queue, counted: true }
    }

    /// Works until there has been nothing to do for a while, or the service goes down and the queue is empty.
    pub(crate) async fn work(mut self) {
        let heartbeat = self.engine.heartbeats.register("flow worker");
        let (mut was_idle, mut stays) = (false, true);
        loop {
            let queue = Arc::clone(&self.queue);
            let work = queue.work();
            match queue.take(&self.engine, was_idle, stays) {
                Taken::Item(item) => {
                    was_idle = false;
                    stays = !self.engine.soft.is_set();
                    self.run(&heartbeat, item).await;
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

    /// One run, from the queue to its end.
    async fn run(&self, heartbeat: &Heartbeat, item: Item) {
        let engine = &*self.engine;
        let Item { accepted, caller, place } = item;
        let in_flight = match engine.in_flight.try_acquire() {
            Ok(permit) => Ok(permit),
            Err(_) => heartbeat.wait(engine.in_flight.acquire()).await,
        };
        let Ok(_in_flight) = in_flight else { return }; // It is never closed.
        // Its bytes are in memory until it ends.
        let _memory = self.queue.started(place);
        engine.metrics.in_flight.inc();
        let _under_way = UnderWay(engine);
        // Chosen this late, so that a held event runs on the flow that was mended meanwhile.
        let flow = self.queue.serving();
        Hand::new(engine, heartbeat, self.queue.series(), flow, accepted, caller).carry().await;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.counted {
            self.queue.worker_lost();
        }
        self.engine.workers.send_modify(|workers| *workers -= 1);
    }
}

/// Counts a run as under way as long as it lives.
struct UnderWay<'e>(&'e Inner);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.metrics.in_flight.dec();
    }
}
