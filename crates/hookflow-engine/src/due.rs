//! Parked runs, and who takes them up when their moment has come.
//!
//! However many there are, only those that are due are looked at, some hundred at a time.

use crate::engine::Inner;
use hookflow_runtime::fault_point;
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// How many due runs are at hand.
const AT_HAND: usize = 1_000;
/// How soon the store is asked again when it did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What may have made another run due, or one that is due free to be taken up.
#[derive(Default)]
pub(crate) struct Changes {
    count: AtomicU64,
    notify: Notify,
}

impl Changes {
    pub(crate) fn tell(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
        self.notify.notify_one();
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Waits until there have been so many.
    pub(crate) async fn reach(&self, count: u64) {
        while self.count() < count {
            self.notify.notified().await;
        }
    }
}

impl Inner {
    /// Takes up what is due until the service goes down.
    pub(crate) async fn take_up_due(self: Arc<Self>) {
        let heartbeat = self.heartbeats.register("due runs");
        let mut soft = self.soft.clone();
        loop {
            let seen = self.due_changed.count();
            let (next, full) = self.look().await;
            // When there are more than are at hand, half of these are to be gone first.
            let enough = if full { AT_HAND / 2 } else { 1 };
            let changed = self.due_changed.reach(seen + u64::try_from(enough).unwrap_or(1));
            let moment = async {
                match next {
                    Some(next) => self.clock.sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            let come = async {
                tokio::select! {
                    biased;
                    () = changed => {}
                    () = moment => {}
                }
            };
            tokio::select! {
                biased;
                () = heartbeat.wait(come) => {}
                () = soft.wait() => return heartbeat.end(),
            }
        }
    }

    /// Returns when to look again if nothing changes before, and whether there may be more that are due.
    async fn look(self: &Arc<Self>) -> (Option<Timestamp>, bool) {
        let later = self.clock.now().checked_add(ASK_AGAIN).ok();
        let due = match self.store.due(&self.owner.node, self.clock.now(), AT_HAND).await {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(%error, "the store does not say which runs are due");
                return (later, false);
            }
        };
        for row in &due.runs {
            let known = self.queue_if_there(&row.flow);
            let queue = match known {
                Some(queue) => Ok(queue),
                None => self.queue_of_run(&row.run).await,
            };
            fault_point("engine.due");
            match queue {
                Ok(queue) => queue.take_up(self, row, false),
                Err(error) => {
                    tracing::error!(run = &*row.run, flow = &*row.flow, %error, "a run that is due cannot go on");
                }
            }
        }
        (due.next, due.runs.len() >= AT_HAND)
    }
}
