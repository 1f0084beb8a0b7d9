//! Forgets what has ended, in small slices, so that what comes in is not held up.

use crate::Engine;
use hookflow_store::Retention;
use jiff::Timestamp;
use std::time::Duration;

/// How often it is looked whether there is something to forget. Looking is cheap, and what has grown meanwhile is little.
const PERIOD: Duration = Duration::from_secs(5);
/// How many runs are forgotten at once.
const SLICE: usize = 500;
/// How long others have the store for themselves between two slices.
const BREATH: Duration = Duration::from_millis(25);

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
                engine.store.prune(&beyond, SLICE).await
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
