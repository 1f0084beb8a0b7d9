//! Heartbeats: a loop that stops turning is seen, because it stops beating.

use crate::Clock;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

/// How often a loop that waits beats.
const INTERVAL: Duration = Duration::from_secs(5);

/// All loops of the process. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Heartbeats {
    clock: Clock,
    /// What beats are counted from.
    began: Instant,
    loops: Arc<Mutex<Loops>>,
}

#[derive(Debug, Default)]
struct Loops {
    last_id: u64,
    beats: BTreeMap<u64, (&'static str, Arc<Beat>)>,
}

/// The last beat of a loop, in milliseconds since the heartbeats began. A beat is one store: a busy loop beats often.
type Beat = AtomicU64;

impl Heartbeats {
    /// Without any loop yet.
    pub fn new(clock: Clock) -> Self {
        Self { began: clock.monotonic(), clock, loops: Arc::default() }
    }

    /// A loop begins, with a first beat. Several may have one name.
    pub fn register(&self, name: &'static str) -> Heartbeat {
        let heartbeat = self.register_late(name);
        heartbeat.beat();
        heartbeat
    }

    /// The same for what may be over before it has turned once: it begins with its first beat, or when it first has to
    /// wait.
    pub fn register_late(&self, name: &'static str) -> Heartbeat {
        Heartbeat { name, entry: OnceLock::new(), all: self.clone() }
    }

    /// The loops whose last beat is older than `max_age`, each name once.
    pub fn stale(&self, max_age: Duration) -> Vec<&'static str> {
        let (now, max_age) = (self.now(), u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX));
        let mut names: Vec<_> = self
            .lock()
            .beats
            .values()
            .filter(|(_, last)| now.saturating_sub(last.load(Ordering::Relaxed)) > max_age)
            .map(|(name, _)| *name)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn now(&self) -> u64 {
        let age = self.clock.monotonic().saturating_duration_since(self.began);
        u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
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
    name: &'static str,
    entry: OnceLock<Entry>,
    all: Heartbeats,
}

/// A loop that has begun.
#[derive(Debug)]
struct Entry {
    id: u64,
    last: Arc<Beat>,
}

impl Heartbeat {
    /// The loop turns.
    pub fn beat(&self) {
        self.entry().last.store(self.all.now(), Ordering::Relaxed);
    }

    /// Waits for `future` and beats meanwhile: an idle loop is not a dead one.
    pub async fn wait<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        // What is there at once is no wait, and no reason to begin.
        if let Poll::Ready(output) = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
            if self.entry.get().is_some() {
                self.beat();
            }
            return output;
        }
        loop {
            self.beat();
            if let Ok(output) = self.all.clock.timeout(INTERVAL, future.as_mut()).await {
                self.beat();
                return output;
            }
        }
    }

    /// The same, but no longer than `limit`.
    pub async fn wait_up_to<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut left = limit;
        loop {
            self.beat();
            let slice = left.min(INTERVAL);
            match self.all.clock.timeout(slice, future.as_mut()).await {
                Ok(output) => return Some(output),
                Err(_) if slice == left => return None,
                Err(_) => left -= slice,
            }
        }
    }

    /// The loop ends as it should.
    pub fn end(self) {
        if let Some(entry) = self.entry.get() {
            self.all.lock().beats.remove(&entry.id);
        }
    }

    fn entry(&self) -> &Entry {
        self.entry.get_or_init(|| {
            let last = Arc::new(Beat::new(self.all.now()));
            let mut loops = self.all.lock();
            loops.last_id += 1;
            let id = loops.last_id;
            loops.beats.insert(id, (self.name, Arc::clone(&last)));
            Entry { id, last }
        })
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
    async fn a_late_loop_is_known_from_its_first_wait() {
        let clock = Clock::turned(Timestamp::UNIX_EPOCH);
        let heartbeats = Heartbeats::new(clock.clone());
        let late = heartbeats.register_late("worker");
        assert_eq!(late.wait(async { 7 }).await, 7);
        assert!(heartbeats.lock().beats.is_empty(), "it has not waited");
        late.end();
        let late = heartbeats.register_late("worker");
        late.wait(tokio::task::yield_now()).await;
        clock.advance(AGE * 2);
        assert_eq!(heartbeats.stale(AGE), ["worker"]);
        late.wait(async {}).await;
        assert!(heartbeats.stale(AGE).is_empty(), "it beats, waiting or not");
        late.end();
        clock.advance(AGE * 2);
        assert!(heartbeats.stale(AGE).is_empty());
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
