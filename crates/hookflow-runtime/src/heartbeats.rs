//! Heartbeats: a loop that stops turning is seen, because it stops beating.

use crate::Clock;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a loop that waits beats.
const INTERVAL: Duration = Duration::from_secs(5);

/// All loops of the process. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Heartbeats {
    clock: Clock,
    loops: Arc<Mutex<Loops>>,
}

#[derive(Debug, Default)]
struct Loops {
    last_id: u64,
    beats: BTreeMap<u64, (&'static str, Instant)>,
}

impl Heartbeats {
    /// Without any loop yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, loops: Arc::default() }
    }

    /// A loop begins, with a first beat. Several may have one name.
    pub fn register(&self, name: &'static str) -> Heartbeat {
        let mut loops = self.lock();
        loops.last_id += 1;
        let id = loops.last_id;
        loops.beats.insert(id, (name, self.clock.monotonic()));
        Heartbeat { id, name, all: self.clone() }
    }

    /// The loops whose last beat is older than `max_age`, each name once.
    pub fn stale(&self, max_age: Duration) -> Vec<&'static str> {
        let now = self.clock.monotonic();
        let mut names: Vec<_> = self
            .lock()
            .beats
            .values()
            .filter(|(_, beat)| now.saturating_duration_since(*beat) > max_age)
            .map(|(name, _)| *name)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn lock(&self) -> MutexGuard<'_, Loops> {
        // Nothing under the lock can panic half way.
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One loop's heartbeat. A loop that ends as it should says so with [`Heartbeat::end`]; one that dies does not, and
/// turns stale.
#[derive(Debug)]
pub struct Heartbeat {
    id: u64,
    name: &'static str,
    all: Heartbeats,
}

impl Heartbeat {
    /// The loop turns.
    pub fn beat(&self) {
        let now = self.all.clock.monotonic();
        self.all.lock().beats.insert(self.id, (self.name, now));
    }

    /// Waits for `future` and beats meanwhile: an idle loop is not a dead one.
    pub async fn wait<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            self.beat();
            if let Ok(output) = self.all.clock.timeout(INTERVAL, future.as_mut()).await {
                self.beat();
                return output;
            }
        }
    }

    /// The loop ends as it should.
    pub fn end(self) {
        self.all.lock().beats.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    const AGE: Duration = Duration::from_secs(10);

    #[test]
    fn a_loop_that_stops_beating_is_named_until_it_beats_or_ends() {
        let clock = Clock::turned(Timestamp::UNIX_EPOCH);
        let heartbeats = Heartbeats::new(clock.clone());
        let (first, second) = (heartbeats.register("timers"), heartbeats.register("timers"));
        let worker = heartbeats.register("worker");
        clock.advance(AGE);
        assert!(heartbeats.stale(AGE).is_empty());
        clock.advance(Duration::from_millis(1));
        worker.beat();
        assert_eq!(heartbeats.stale(AGE), ["timers"]);
        first.beat();
        assert_eq!(heartbeats.stale(AGE), ["timers"]);
        second.end();
        assert!(heartbeats.stale(AGE).is_empty());
        drop(worker);
        clock.advance(AGE * 2);
        assert_eq!(heartbeats.stale(AGE), ["timers", "worker"]);
    }

    #[tokio::test]
    async fn an_idle_loop_beats() {
        let clock = Clock::turned(Timestamp::UNIX_EPOCH);
        let heartbeats = Heartbeats::new(clock.clone());
        let heartbeat = heartbeats.register("worker");
        let (done, receive) = tokio::sync::oneshot::channel();
        let hours = async {
            for _ in 0..100 {
                clock.advance_to_next().await;
                assert!(heartbeats.stale(AGE).is_empty());
            }
            done.send(7).unwrap();
        };
        assert_eq!(tokio::join!(heartbeat.wait(receive), hours).0, Ok(7));
        assert!(clock.now().as_second() >= 500);
    }
}
