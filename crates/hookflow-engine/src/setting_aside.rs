//! Runs that cannot go on through no fault of their flow. They end with a code of their own, so that neither a worker nor
//! anybody else waits for them for ever.

use crate::engine::Inner;
use crate::perform::children::derived;
use crate::queue::FlowQueue;
use crate::ticket::Accepted;
use hookflow_flow::{Effect, End, Fault, FaultKind, Run, Start};
use hookflow_store::{Ended, Inbound, Journal, Progress, StoreError};
use hookflow_text::Code;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How soon the store is asked again when it cannot be written to.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Inner {
    /// Ends a run that has taken the node down with it, then its children.
    pub(crate) async fn set_aside_poison(self: &Arc<Self>, run: &Arc<str>) -> Result<(), StoreError> {
        let journal = match self.store.load(run).await {
            Ok(journal) if journal.run.progress.ended.is_none() => journal,
            // What cannot be read ends when its queue comes to it.
            Ok(_) | Err(StoreError::UnknownRun | StoreError::Damaged(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let message =
            "the service died three times while it may have been at this run, the last time at nothing else";
        let fault = Fault::new(FaultKind::Interrupted, Code("run.poison"), message);
        let ended = Some(Ended { end: Arc::new(End::Failed(fault)), at: self.clock.now() });
        let progress = Progress { ended, ..Progress::none(Arc::clone(&journal.run.progress.version)) };
        if let Some(next) = self.store.record(&self.owner, run, progress).await?.promoted {
            self.trials.last_turn.fetch_max(next.turn, Ordering::Relaxed);
        }
        self.metrics.poisoned.inc();
        tracing::error!(run = &**run, flow = &*journal.run.flow, "a run is set aside: {message}");
        // It has ended by now: were looking into it what takes the node down, that would be once.
        self.tasks.spawn("children of a run set aside", Arc::clone(self).cancel_children(journal));
        Ok(())
    }

    /// Cancels those that a run had begun and waited for: nobody else would take them up.
    async fn cancel_children(self: Arc<Self>, journal: Journal) {
        let accepted = Accepted::of(&journal);
        let progress = journal.run.progress;
        let plan = match self.plan_of(&accepted.flow, &progress.version).await {
            Ok(flow) => Arc::clone(&flow.plan),
            Err(error) => {
                let run = &*accepted.run;
                tracing::error!(run, %error, "the children of a run that is set aside are not known");
                return;
            }
        };
        let start = Start {
            run: Arc::clone(&accepted.run),
            started_at: progress.begun_at.unwrap_or_else(|| self.clock.now()),
            seed: accepted.seed,
            event: Arc::clone(&accepted.event),
            attempt: accepted.attempt,
            deadline: None,
        };
        let facts: Vec<_> = progress.facts.iter().map(|fact| (**fact).clone()).collect();
        let Ok((mut run, mut effects)) = Run::replay(plan, start, &facts) else { return };
        while run.is_ready() {
            tokio::task::yield_now().await;
            effects.extend(run.go_on());
        }
        for effect in effects {
            if let Effect::Run(ask, child) = effect
                && !child.detach
            {
                self.cancel_unwaited(&derived(&accepted, &ask).0).await;
            }
        }
    }

    /// Cancels a run that nobody waits for any longer, if there is such a run.
    pub(crate) async fn cancel_unwaited(self: &Arc<Self>, run: &Arc<str>) {
        let inbound = Inbound::Cancel { at: self.clock.now() };
        while let Err(StoreError::Unavailable(why)) = self.post(run, inbound.clone()).await {
            let run = &**run;
            tracing::error!(run, why, "the end of a run that nobody waits for waits for the store");
            self.clock.sleep(ASK_AGAIN).await;
        }
    }

    /// Ends a run of which the store says that what it keeps of it cannot be read, and never will be.
    ///
    /// # Errors
    /// When the end cannot be written either. Then the run stays where it is.
    pub(crate) async fn set_aside_unread(
        self: &Arc<Self>,
        queue: &Arc<FlowQueue>,
        run: &Arc<str>,
        why: &str,
    ) -> Result<Fault, StoreError> {
        let fault = Fault::new(FaultKind::Interrupted, Code("run.unreadable"), why);
        let ended = Some(Ended { end: Arc::new(End::Failed(fault.clone())), at: self.clock.now() });
        let progress = Progress { ended, ..queue.nothing_yet() };
        let recorded = loop {
            match self.store.record(&self.owner, run, progress.clone()).await {
                Err(StoreError::Unavailable(_)) => self.clock.sleep(ASK_AGAIN).await,
                recorded => break recorded?,
            }
        };
        tracing::error!(run = &**run, flow = queue.flow(), "a run is set aside: {why}");
        queue.series().failed.inc();
        if let Some(next) = recorded.promoted {
            queue.take_up(self, &next, true);
        }
        Ok(fault)
    }
}
