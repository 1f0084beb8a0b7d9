//! One run in a worker's hand: what is already kept of it, what is not, and who waits for it.
//!
//! A run of pure steps is written once, with its end. A run that asks the world is kept before its first call leaves,
//! and each outcome before the next one does. A reply reaches its caller after the write that holds it.

use crate::Conclusion;
use crate::engine::Inner;
use crate::metrics::Series;
use crate::perform::{Calls, perform};
use crate::ticket::Accepted;
use hookflow_flow::{End, Fact, Fault, FaultKind, Flow, Reply, Run, Start};
use hookflow_runtime::Heartbeat;
use hookflow_store::{Admitted, Ended, Progress, StoreError};
use hookflow_text::Code;
use jiff::Timestamp;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How soon, and then how often at least, a write is tried again when the store cannot be written to.
const REWRITE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

type Caller = Option<oneshot::Sender<Conclusion>>;

/// One run in a worker's hand.
pub(crate) struct Hand<'e> {
    engine: &'e Inner,
    heartbeat: &'e Heartbeat,
    series: &'e Series,
    flow: Arc<Flow>,
    accepted: Arc<Accepted>,
    caller: Caller,
    began: Instant,
    /// The run's own time begins when it does, not when its event came: its timeouts do not count the queue.
    begun_at: Timestamp,
    reply: Option<Arc<Reply>>,
    reply_is_written: bool,
    unwritten: Vec<Arc<Fact>>,
}

/// Why a run is given up before its end.
enum Lost {
    /// Its event repeats another.
    Duplicate,
    /// Another owns it, or it could not be kept and nobody was promised it.
    Refused(StoreError),
}

impl<'e> Hand<'e> {
    pub(crate) fn new(
        engine: &'e Inner,
        heartbeat: &'e Heartbeat,
        series: &'e Series,
        flow: Arc<Flow>,
        accepted: Arc<Accepted>,
        caller: Caller,
    ) -> Self {
        Self {
            began: engine.clock.monotonic(),
            begun_at: engine.clock.now(),
            engine,
            heartbeat,
            series,
            flow,
            accepted,
            caller,
            reply: None,
            reply_is_written: false,
            unwritten: Vec::new(),
        }
    }

    /// Carries the run to its end. Whichever way this goes, the caller hears of it.
    pub(crate) async fn carry(mut self) {
        let end = match caught(self.drive()).await {
            Ok(Ok(end)) => end,
            Ok(Err(lost)) => return self.lose(&lost),
            Err(panic) => self.bug(panic.as_ref()),
        };
        self.conclude(Arc::new(end)).await;
    }

    /// What the run does until it ends.
    async fn drive(&mut self) -> Result<End, Lost> {
        let (mut run, mut effects) = Run::begin_in_slices(
            Arc::clone(&self.flow.plan),
            Start {
                run: Arc::clone(&self.accepted.run),
                started_at: self.begun_at,
                seed: self.accepted.seed,
                event: Arc::clone(&self.accepted.event),
                attempt: Accepted::FIRST_ATTEMPT,
            },
        );
        let mut calls = Calls::default();
        loop {
            for effect in effects {
                perform(self.engine, &self.accepted, effect, &mut calls, &mut self.reply);
            }
            if let Some(end) = run.end() {
                return Ok(end.clone());
            }
            if run.is_ready() {
                self.heartbeat.beat();
                tokio::task::yield_now().await;
                effects = run.go_on();
                continue;
            }
            // Calls leave when they are first polled, which is not before this has gone well.
            match self.keep().await {
                Ok(()) => {}
                Err(Lost::Refused(StoreError::JournalFull)) => return Ok(End::Failed(journal_full())),
                Err(lost) => return Err(lost),
            }
            self.answer_early();
            let Some(fact) = self.next_fact(&mut calls).await else {
                return Ok(End::Failed(bug("the run neither ended nor waits for anything")));
            };
            let (_, ignored) = run.ignored();
            effects = run.on(&fact);
            // A replay would not know what to do with a fact that the run did not ask for any longer.
            if run.ignored().1 == ignored {
                self.unwritten.push(Arc::new(fact));
            }
        }
    }

    /// Writes what is not written yet.
    async fn keep(&mut self) -> Result<(), Lost> {
        let reply = self.reply.clone().filter(|_| !self.reply_is_written);
        if self.accepted.is_kept() && reply.is_none() && self.unwritten.is_empty() {
            return Ok(());
        }
        let progress = self.progress(reply);
        if self.accepted.is_kept() {
            self.record(progress).await?;
        } else {
            self.admit(progress).await?;
        }
        self.reply_is_written = self.reply.is_some();
        Ok(())
    }

    fn progress(&mut self, reply: Option<Arc<Reply>>) -> Progress {
        let version = Arc::clone(&self.flow.plan.version);
        Progress {
            begun_at: Some(self.begun_at),
            facts: std::mem::take(&mut self.unwritten),
            reply,
            ..Progress::none(version)
        }
    }

    /// Keeps the event of a run that was carried so far in memory only.
    async fn admit(&mut self, progress: Progress) -> Result<(), Lost> {
        let (sender, answer) = oneshot::channel();
        let new_run = self.accepted.new_run(progress);
        let settled = Box::new(move |outcome| drop(sender.send(outcome)));
        self.engine.store.admit(&self.engine.owner, self.now(), vec![(new_run, settled)]);
        match self.heartbeat.wait(answer).await {
            Ok(Ok(Admitted::Kept { .. })) => {
                self.accepted.set_kept();
                Ok(())
            }
            Ok(Ok(Admitted::Duplicate(duplicate))) => {
                tell(&mut self.caller, Conclusion::Duplicate(duplicate));
                Err(Lost::Duplicate)
            }
            Ok(Err(error)) => Err(Lost::Refused(error)),
            Err(_) => Err(Lost::Refused(StoreError::Unavailable("the store has stopped".into()))),
        }
    }

    /// Writes to a run that is kept. While the store is away this goes on, for the run was promised; who waits for it
    /// is told at once.
    async fn record(&mut self, progress: Progress) -> Result<(), Lost> {
        let (mut pause, longest) = REWRITE;
        loop {
            let written = self.engine.store.record(&self.engine.owner, &self.accepted.run, progress.clone());
            let mut written = self.heartbeat.wait(written).await.map(drop);
            if written == Err(StoreError::UnknownVersion) {
                // Replaced by so many others since the run began that the store has forgotten it.
                written = self.heartbeat.wait(self.engine.keep_version(&self.flow)).await;
                if written.is_ok() {
                    continue;
                }
            }
            match written {
                Ok(()) => return Ok(()),
                Err(StoreError::Unavailable(why)) => {
                    self.caller = None;
                    tracing::error!(run = &*self.accepted.run, why, "a run waits for the store");
                    self.heartbeat.wait(self.engine.clock.sleep(pause)).await;
                    pause = (pause * 2).min(longest);
                }
                Err(error) => return Err(Lost::Refused(error)),
            }
        }
    }

    /// Answers the caller of a run that goes on: event and reply are kept by now.
    fn answer_early(&mut self) {
        if let Some(reply) = &self.reply {
            tell(&mut self.caller, Conclusion::Reply(Arc::clone(reply)));
        }
    }

    /// The next outcome. Who waits for the run is let go when the shutdown cannot wait longer; the run goes on.
    async fn next_fact(&mut self, calls: &mut Calls<'_>) -> Option<Fact> {
        let mut letting_go = self.engine.letting_go();
        let calls = self.heartbeat.wait(calls.next());
        let mut calls = pin!(calls);
        tokio::select! {
            biased;
            fact = &mut calls => return fact,
            // The sender lives in the engine, so the wait cannot fail.
            _ = letting_go.wait_for(|letting_go| *letting_go) => self.caller = None,
        }
        calls.await
    }

    /// Writes the end, then tells the caller.
    async fn conclude(mut self, end: Arc<End>) {
        self.count(&end);
        let reply = self.reply.clone().filter(|_| !self.reply_is_written);
        let mut progress = self.progress(reply);
        progress.ended = Some(Ended { end: Arc::clone(&end), at: self.now() });
        if !self.accepted.is_kept() {
            return self.admit_ended(progress, end);
        }
        match self.record(progress).await {
            Ok(()) => tell(&mut self.caller, conclusion(self.reply, &end)),
            Err(lost) => self.lose(&lost),
        }
    }

    /// Keeps event and end in one. Nobody waits for the commit but the caller, whom the store's side tells.
    fn admit_ended(mut self, progress: Progress, end: Arc<End>) {
        let (now, new_run) = (self.now(), self.accepted.new_run(progress));
        let (engine, accepted) = (self.engine, self.accepted);
        let settled = Box::new(move |outcome| match outcome {
            Ok(Admitted::Kept { .. }) => {
                accepted.set_kept();
                tell(&mut self.caller, conclusion(self.reply, &end));
            }
            Ok(Admitted::Duplicate(duplicate)) => tell(&mut self.caller, Conclusion::Duplicate(duplicate)),
            Err(error) => {
                let_go(&accepted, &error);
                if !accepted.is_kept() {
                    tell(&mut self.caller, Conclusion::NotKept);
                }
            }
        });
        engine.store.admit(&engine.owner, now, vec![(new_run, settled)]);
    }

    fn count(&self, end: &End) {
        let took = self.engine.clock.monotonic().saturating_duration_since(self.began);
        self.series.duration.observe(took.as_secs_f64());
        match end {
            End::Succeeded(_) => self.series.succeeded.inc(),
            End::Failed(fault) => {
                tracing::warn!(
                    flow = &*self.accepted.flow,
                    run = &*self.accepted.run,
                    code = fault.code,
                    step = fault.step,
                    "a run failed: {}",
                    fault.message
                );
                self.series.failed.inc()
            }
        };
    }

    /// Dropping the caller's side tells it, unless it has been told more.
    fn lose(mut self, lost: &Lost) {
        if let Lost::Refused(error) = lost {
            let_go(&self.accepted, error);
            if !self.accepted.is_kept() {
                tell(&mut self.caller, Conclusion::NotKept);
            }
        }
    }

    fn bug(&self, panic: &(dyn Any + Send)) -> End {
        self.engine.metrics.panics.inc();
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("without a text");
        tracing::error!(run = &*self.accepted.run, flow = &*self.accepted.flow, "a run panicked: {text}");
        End::Failed(bug("the service failed at this run; its log says how"))
    }

    fn now(&self) -> Timestamp {
        self.engine.clock.now()
    }
}

/// Tells the caller, once, if it still waits.
fn tell(caller: &mut Caller, conclusion: Conclusion) {
    if let Some(caller) = caller.take() {
        // A caller who has gone away hears nothing.
        drop(caller.send(conclusion));
    }
}

fn conclusion(reply: Option<Arc<Reply>>, end: &End) -> Conclusion {
    match (reply, end) {
        (Some(reply), _) => Conclusion::Reply(reply),
        (None, End::Succeeded(_)) => Conclusion::Completed,
        (None, End::Failed(fault)) => Conclusion::Failed(fault.clone()),
    }
}

fn let_go(accepted: &Accepted, error: &StoreError) {
    tracing::error!(run = &*accepted.run, flow = &*accepted.flow, %error, "a run could not be kept");
}

fn bug(message: &str) -> Fault {
    Fault::new(FaultKind::Interrupted, Code("run.bug"), message)
}

fn journal_full() -> Fault {
    Fault::new(FaultKind::Limit, Code("run.journal-full"), StoreError::JournalFull.to_string())
}

/// The future's output, or the panic in it.
async fn caught<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}
