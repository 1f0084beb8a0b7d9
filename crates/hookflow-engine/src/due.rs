//! Parked runs, and who takes them up when their moment has come.
//!
//! However many there are, only those that are due are looked at, some hundred at a time.

use crate::engine::Inner;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// How many due runs are at hand.
const AT_HAND: usize = 1_000;
/// What changes within this time is looked at in one go.
const GATHER: Duration = Duration::from_millis(5);
/// How soon the store is asked again when it did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Inner {
    /// Takes up what is due until the service goes down.
    pub(crate) async fn take_up_due(self: Arc<Self>) {
        let heartbeat = self.heartbeats.register("due runs");
        let mut soft = self.soft.clone();
        loop {
            let changed = self.due_changed.notified();
            let next = self.look().await;
            let clock = &self.clock;
            let come = async {
                let moment = async {
                    match next {
                        Some(next) => clock.sleep_until(next).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = changed => clock.sleep(GATHER).await,
                    () = moment => {}
                }
            };
            tokio::select! {
                () = heartbeat.wait(come) => {}
                () = soft.wait() => return heartbeat.end(),
            }
        }
    }

    /// Returns when to look again, if nothing changes before.
    async fn look(self: &Arc<Self>) -> Option<Timestamp> {
        let later = self.clock.now().checked_add(ASK_AGAIN).ok();
        let due = match self.store.due(&self.owner.node, self.clock.now(), AT_HAND).await {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(%error, "the store does not say which runs are due");
                return later;
            }
        };
        for row in &due.runs {
            let known = self.queue_if_there(&row.flow);
            let queue = match known {
                Some(queue) => Ok(queue),
                None => self.queue_of_run(&row.run).await,
            };
            match queue {
                Ok(queue) => queue.take_up(self, row, false),
                Err(error) => {
                    tracing::error!(run = &*row.run, flow = &*row.flow, %error, "a run that is due cannot go on");
                }
            }
        }
        due.next
    }
}
