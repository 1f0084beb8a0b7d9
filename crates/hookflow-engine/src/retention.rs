//! Forgets what has ended, in small slices, so that what comes in is not held up.

use crate::Engine;
use crate::delivering::LONGEST_WAIT;
use hookflow_flow::Subscription;
use hookflow_store::{KeepEvents, Pruned, Retention, StoreError};
use jiff::Timestamp;
use std::time::Duration;

/// How often it is looked whether there is something to forget. Looking is cheap, and what has grown meanwhile is little.
const PERIOD: Duration = Duration::from_secs(5);
/// How many runs are forgotten at once.
const SLICE: usize = 500;
/// How long others have the store for themselves between two slices.
const BREATH: Duration = Duration::from_millis(25);
/// How much longer an event is kept of which a delivery is pending: longer than all attempts take, unless its subscription is
/// off or its endpoint set aside meanwhile.
const LONGEST_DELIVERY: Duration =
    Duration::from_secs(LONGEST_WAIT.as_secs().saturating_mul(Subscription::MOST_TRIES));
/// Which part of the bytes events that went out may take.
const EVENTS_PART: u64 = 4;

/// How much of what has ended is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// For how long.
    pub age: Duration,
    /// About how many bytes.
    pub bytes: u64,
    /// How many runs.
    pub runs: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Self { age: Duration::from_hours(30 * 24), bytes: 10 << 30, runs: 10_000_000 }
    }
}

impl Keep {
    /// What ended before this is not kept.
    pub fn since(&self, now: Timestamp) -> Timestamp {
        now.checked_sub(self.age).unwrap_or(Timestamp::MIN)
    }

    /// Which events that went out are kept.
    fn events(&self, now: Timestamp) -> KeepEvents {
        let since = self.since(now);
        let pending_since = since.checked_sub(LONGEST_DELIVERY).unwrap_or(Timestamp::MIN);
        KeepEvents { since, pending_since, bytes: self.bytes / EVENTS_PART, events: self.runs }
    }
}

impl Engine {
    /// From now on forgets what is beyond `keep`, until shutdown begins.
    pub fn retain(&self, keep: Keep) {
        let engine = self.clone();
        self.0.tasks.spawn("retention", async move { engine.prune_on_and_on(keep).await });
    }

    async fn prune_on_and_on(&self, keep: Keep) {
        let engine = &self.0;
        let heartbeat = engine.heartbeats.register("retention");
        let mut soft = engine.soft.clone();
        let mut more = false;
        loop {
            let pause = engine.clock.sleep(if more { BREATH } else { PERIOD });
            let go_on = heartbeat.wait(async {
                tokio::select! {
                    biased;
                    () = soft.wait() => false,
                    () = pause => true,
                }
            });
            if !go_on.await {
                return heartbeat.end();
            }
            let Keep { bytes, runs, .. } = keep;
            let beyond = Retention { ended_since: keep.since(engine.clock.now()), bytes, runs };
            let pruned = async {
                engine.store.forget_rejected(None, beyond.ended_since).await?;
                engine.count_undelivered().await?;
                let pruned = engine.store.prune(&beyond, SLICE).await?;
                let events =
                    engine.store.outbox().forget_events(&keep.events(engine.clock.now()), SLICE).await?;
                Ok::<_, StoreError>(Pruned { more: pruned.more || events.more, ..pruned })
            };
            match heartbeat.wait(pruned).await {
                Ok(pruned) => {
                    engine.metrics.pruned.inc_by(pruned.runs);
                    more = pruned.more;
                }
                Err(error) => {
                    tracing::warn!(%error, "what has ended cannot be forgotten now");
                    more = false;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pending_is_kept_until_its_last_try_however_it_was_put_off() {
        let (hour, now) = (3_600, Timestamp::from_second(1_800_000_000).unwrap());
        let keep = Keep { age: Duration::from_hours(1), ..Keep::default() }.events(now);
        assert_eq!(now.as_second() - keep.since.as_second(), hour);
        let nineteen_days = 19 * 24 * hour;
        assert!(keep.since.as_second() - keep.pending_since.as_second() > nineteen_days);
    }
}
