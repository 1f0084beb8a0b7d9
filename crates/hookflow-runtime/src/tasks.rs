//! Every task and thread of the process, so that none outlives shutdown and no panic is lost.
//!
//! Shutdown has two steps. *Soft*: loops that watch [`Tasks::soft`] stop taking new work and finish what they have.
//! *Hard*: every task that is left is dropped at its next await.

use crate::{Clock, Elapsed, Seldom};
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinError;

/// A thread's stack. Only what is touched is used, and compiling a deep expression may touch much.
const STACK: usize = 16 << 20;

/// Spawns and tracks. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Tasks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    phase: watch::Sender<Phase>,
    /// The same for who only looks: that is asked with every request, and a look at the other takes its lock.
    reached: Arc<AtomicU8>,
    running: watch::Sender<BTreeMap<&'static str, usize>>,
    panics: AtomicU64,
    /// One permit for each processor.
    processors: Arc<Semaphore>,
    /// How much work is done beside the runtime's threads.
    beside: AtomicUsize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Soft,
    Hard,
}

impl Phase {
    fn is_reached(self, reached: &AtomicU8) -> bool {
        reached.load(Ordering::Acquire) >= self as u8
    }
}

impl Tasks {
    /// Without any task yet.
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Inner {
            clock,
            phase: watch::Sender::new(Phase::Running),
            reached: Arc::default(),
            running: watch::Sender::new(BTreeMap::new()),
            panics: AtomicU64::new(0),
            processors: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from))),
            beside: AtomicUsize::new(0),
        }))
    }

    /// Runs `future` until it ends or the hard step drops it. A panic in it ends it alone, is logged under `name`
    /// and counted.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let entry = Entry::new(self, name);
        let mut hard = self.hard();
        let hard = Seldom::new(async move { hard.wait().await });
        // Pinned within the task, it would take its room twice: as what the task is given, and as what it awaits.
        let future = Box::pin(future);
        tokio::spawn(async move {
            let mut future = future;
            let guarded = std::future::poll_fn(|cx| {
                match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                    Ok(Poll::Pending) => Poll::Pending,
                    Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
                    Err(panic) => Poll::Ready(Err(panic)),
                }
            });
            tokio::select! {
                biased;
                () = hard => {}
                outcome = guarded => if let Err(panic) = outcome { entry.panicked(panic.as_ref()) },
            }
        });
    }

    /// Begins `future` here and now, and runs what it has to wait for as [`Self::spawn`] does: what waits for nothing is
    /// over when this returns, without the cost of a task. A panic in it harms whoever calls this as little as a task's.
    pub fn begin(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        if Phase::Hard.is_reached(&self.0.reached) {
            return;
        }
        let mut future = Box::pin(future);
        let mut cx = Context::from_waker(Waker::noop());
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx))) {
            Ok(Poll::Ready(())) => {}
            // A task polls at once, so nothing that has come meanwhile is missed.
            Ok(Poll::Pending) => self.spawn(name, future),
            Err(panic) => Entry::new(self, name).panicked(panic.as_ref()),
        }
    }

    /// Runs `work` on a thread of its own, which the hard step cannot drop: it must end by itself.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn thread(&self, name: &'static str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let (entry, beside) = (Entry::new(self, name), Beside::begin(self));
        let builder = std::thread::Builder::new().name(name.into()).stack_size(STACK);
        builder.spawn(move || {
            let _beside = beside;
            if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
                entry.panicked(panic.as_ref());
            }
        })?;
        Ok(())
    }

    /// Runs `work`, which computes for long, beside the threads that serve connections, and gives what it made. No
    /// more runs at once than there are processors; others wait in line. It ends by itself even if nobody waits for
    /// it any more, and a panic in it is its caller's.
    pub async fn blocking<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        // The semaphore is never closed, so there always is a permit.
        let permit = Arc::clone(&self.0.processors).acquire_owned().await;
        let entry = Entry::new(self, name);
        // Until whoever waits for it has it.
        let _beside = Beside::begin(self);
        let working = tokio::task::spawn_blocking(move || {
            let _held = (permit, entry);
            work()
        });
        match working.await.map_err(JoinError::try_into_panic) {
            Ok(value) => value,
            Err(Ok(panic)) => resume_unwind(panic),
            // The process ends, and this future with it.
            Err(Err(_)) => std::future::pending().await,
        }
    }

    /// Set when shutdown has begun: take nothing new, finish what is there.
    pub fn soft(&self) -> Token {
        self.token(Phase::Soft)
    }

    /// Set when the grace is over: whatever still runs is dropped.
    pub fn hard(&self) -> Token {
        self.token(Phase::Hard)
    }

    fn token(&self, at: Phase) -> Token {
        Token { phase: self.0.phase.subscribe(), reached: Arc::clone(&self.0.reached), at }
    }

    fn reach(&self, phase: Phase) {
        self.0.reached.fetch_max(phase as u8, Ordering::AcqRel);
        self.0.phase.send_modify(|reached| *reached = (*reached).max(phase));
    }

    /// Shuts down: soft, then waits until nothing runs or `grace` has passed, then hard. Returns the names of what
    /// had not ended by itself. A second call with a shorter grace hurries the first.
    pub async fn drain(&self, grace: Duration) -> Vec<&'static str> {
        self.reach(Phase::Soft);
        let mut running = self.0.running.subscribe();
        let mut hard = self.hard();
        let ended = async {
            tokio::select! {
                biased;
                // The sender lives in `self`, so the wait cannot fail.
                _ = running.wait_for(BTreeMap::is_empty) => {}
                () = hard.wait() => {}
            }
        };
        // Either way the rest is what still runs.
        let (Ok(()) | Err(Elapsed)) = self.0.clock.timeout(grace, ended).await;
        let left = self.running().into_keys().collect();
        self.reach(Phase::Hard);
        left
    }

    /// What runs: how many under each name.
    pub fn running(&self) -> BTreeMap<&'static str, usize> {
        self.0.running.borrow().clone()
    }

    /// Whether anything is computed beside the threads of the runtime: then a runtime that is idle may not stay so.
    pub fn works_beside(&self) -> bool {
        self.0.beside.load(Ordering::Acquire) > 0
    }

    /// How many tasks and threads have panicked.
    pub fn panics(&self) -> u64 {
        self.0.panics.load(Ordering::Relaxed)
    }
}

/// One step of shutdown, to wait for.
#[derive(Debug, Clone)]
pub struct Token {
    phase: watch::Receiver<Phase>,
    reached: Arc<AtomicU8>,
    at: Phase,
}

impl Token {
    /// Waits until the step is taken; at once when it was. If every [`Tasks`] is gone, it was taken.
    pub async fn wait(&mut self) {
        // An error means that the sender is gone, which ends the wait as well.
        drop(self.phase.wait_for(|phase| *phase >= self.at).await);
    }

    /// Whether the step was taken.
    pub fn is_set(&self) -> bool {
        self.at.is_reached(&self.reached)
    }
}

/// Counts work beside the runtime's threads as long as it lives.
struct Beside(Tasks);

impl Beside {
    fn begin(tasks: &Tasks) -> Self {
        tasks.0.beside.fetch_add(1, Ordering::AcqRel);
        Self(tasks.clone())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.0.0.beside.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Counts a task as running as long as it lives.
struct Entry {
    tasks: Tasks,
    name: &'static str,
}

impl Entry {
    fn new(tasks: &Tasks, name: &'static str) -> Self {
        tasks.0.running.send_modify(|running| *running.entry(name).or_default() += 1);
        Self { tasks: tasks.clone(), name }
    }

    fn panicked(&self, panic: &(dyn Any + Send)) {
        self.tasks.0.panics.fetch_add(1, Ordering::Relaxed);
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        tracing::error!(name = self.name, "a task panicked: {}", text.unwrap_or("without a text"));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.tasks.0.running.send_modify(|running| {
            if let Some(count) = running.get_mut(self.name) {
                *count -= 1;
                if *count == 0 {
                    running.remove(self.name);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn turned() -> (Clock, Tasks) {
        let clock = Clock::turned(Timestamp::UNIX_EPOCH);
        (clock.clone(), Tasks::new(clock))
    }

    #[tokio::test]
    async fn drain_waits_for_what_finishes_in_time() {
        let (_, tasks) = turned();
        for _ in 0..3 {
            let mut soft = tasks.soft();
            tasks.spawn("polite", async move { soft.wait().await });
        }
        let mut soft = tasks.soft();
        tasks.thread("writer", move || while !soft_is_set(&mut soft) {}).unwrap();
        assert_eq!(tasks.running(), BTreeMap::from([("polite", 3), ("writer", 1)]));
        assert!(tasks.drain(Duration::from_secs(1)).await.is_empty());
        assert!(tasks.running().is_empty());
        assert!(tasks.soft().is_set() && tasks.hard().is_set());
    }

    fn soft_is_set(token: &mut Token) -> bool {
        std::thread::yield_now();
        token.is_set()
    }

    #[tokio::test]
    async fn what_does_not_finish_is_named_and_dropped() {
        let (clock, tasks) = turned();
        tasks.spawn("stubborn", std::future::pending());
        let draining = tasks.drain(Duration::from_secs(30));
        assert_eq!(tokio::join!(draining, clock.advance_to_next()).0, ["stubborn"]);
        let mut running = tasks.0.running.subscribe();
        running.wait_for(BTreeMap::is_empty).await.unwrap();
        // What is spawned after the hard step does not begin.
        tasks.spawn("late", async { panic!("it began") });
        running.wait_for(BTreeMap::is_empty).await.unwrap();
        assert_eq!(tasks.panics(), 0);
    }

    #[tokio::test]
    async fn what_begins_here_is_over_or_becomes_a_task() {
        let (_, tasks) = turned();
        let (done, receive) = tokio::sync::oneshot::channel();
        let over = Arc::new(AtomicU64::new(0));
        let count = |by| {
            let over = Arc::clone(&over);
            move || {
                over.fetch_add(by, Ordering::Relaxed);
            }
        };
        let (at_once, later) = (count(1), count(10));
        tasks.begin("quick", async move { at_once() });
        assert_eq!(over.load(Ordering::Relaxed), 1, "nothing had to be waited for");
        tasks.begin("bad", async { panic!("on purpose") });
        tasks.begin("slow", async move {
            receive.await.unwrap();
            later();
        });
        assert_eq!(tasks.running(), BTreeMap::from([("slow", 1)]));
        done.send(()).unwrap();
        tasks.drain(Duration::from_secs(1)).await;
        assert_eq!((over.load(Ordering::Relaxed), tasks.panics()), (11, 1));
        let late = count(100);
        tasks.begin("late", async move { late() });
        assert_eq!(over.load(Ordering::Relaxed), 11, "after the hard step nothing begins");
    }

    #[tokio::test]
    async fn a_second_drain_hurries_the_first() {
        let (_, tasks) = turned();
        tasks.spawn("stubborn", std::future::pending());
        let first = tasks.drain(Duration::from_hours(1));
        let (first, second) = tokio::join!(first, async {
            tokio::task::yield_now().await;
            tasks.drain(Duration::ZERO).await
        });
        assert_eq!((first, second), (vec!["stubborn"], vec!["stubborn"]));
    }

    #[tokio::test]
    async fn long_work_gives_its_value_and_its_panic_to_its_caller() {
        let (_, tasks) = turned();
        assert_eq!(tasks.blocking("sum", || (1..=100).sum::<u32>()).await, 5050);
        let (inner, (done, ended)) = (tasks.clone(), tokio::sync::oneshot::channel::<()>());
        tasks.spawn("caller", async move {
            let _done = done;
            inner.blocking("bad", || panic!("on purpose")).await;
        });
        assert!(ended.await.is_err(), "the caller has ended");
        assert!(tasks.drain(Duration::from_secs(1)).await.is_empty());
        assert_eq!(tasks.panics(), 1);
    }

    #[tokio::test]
    async fn no_more_long_work_runs_at_once_than_there_are_processors() {
        let (_, tasks) = turned();
        let processors = tasks.0.processors.available_permits();
        let (at_once, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (done, mut left) = tokio::sync::mpsc::channel::<()>(1);
        for _ in 0..processors * 3 {
            let (at_once, most, done, inner) =
                (Arc::clone(&at_once), Arc::clone(&most), done.clone(), tasks.clone());
            tasks.spawn("caller", async move {
                let _done = done;
                inner
                    .blocking("work", move || {
                        most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        at_once.fetch_sub(1, Ordering::SeqCst);
                    })
                    .await;
            });
        }
        drop(done);
        assert_eq!(left.recv().await, None);
        assert!((1..=processors as u64).contains(&most.load(Ordering::SeqCst)));
    }

    #[tokio::test]
    async fn a_panic_is_counted_and_harms_nobody_else() {
        let (_, tasks) = turned();
        let (done, receive) = tokio::sync::oneshot::channel();
        tasks.spawn("bad", async { panic!("on purpose") });
        tasks.thread("worse", || panic!("on {}", "purpose")).unwrap();
        tasks.spawn("good", async move { done.send(7).unwrap() });
        assert_eq!(receive.await, Ok(7));
        tasks.drain(Duration::from_secs(1)).await;
        assert_eq!(tasks.panics(), 2);
    }
}
