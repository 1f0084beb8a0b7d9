//! What is written of a run, and when: before anything of it leaves the node, and before its caller hears of it.

use super::ending::Pause;
use super::{Hand, Lost, conclusion, let_go, tell};
use crate::Conclusion;
use hookflow_flow::{End, Reply};
use hookflow_runtime::fault_point;
use hookflow_store::{Admitted, Ended, Parked, Progress, Recorded, StoreError, UnfinishedRun};
use jiff::Timestamp;
use std::sync::Arc;
use tokio::sync::oneshot;

impl Hand<'_> {
    /// Writes what is not written yet.
    pub(super) async fn keep(&mut self) -> Result<(), Lost> {
        let reply = self.reply.clone().filter(|_| !self.reply_is_written);
        let is_written = reply.is_none()
            && self.unwritten.is_empty()
            && self.leaving.is_empty()
            && self.emitted.is_empty();
        if self.accepted.is_kept() && is_written {
            return Ok(());
        }
        let progress = self.progress(reply);
        let emitted = progress.emitted.clone();
        let written = if self.accepted.is_kept() {
            self.record(progress).await.map(drop)
        } else {
            self.admit(progress).await
        };
        if matches!(written, Err(Lost::Refused(StoreError::JournalFull))) {
            // The run ends with this, and what it has emitted before is kept with its end.
            self.emitted = emitted;
        }
        written?;
        self.reply_is_written = self.reply.is_some();
        self.tell_lanes();
        Ok(())
    }

    /// What it has emitted is kept: whoever gets it may have it.
    fn tell_lanes(&mut self) {
        self.engine.lanes.tell(&std::mem::take(&mut self.to_tell));
    }

    pub(super) fn progress(&mut self, reply: Option<Arc<Reply>>) -> Progress {
        let version = Arc::clone(&self.flow.plan.version);
        let emitted = std::mem::take(&mut self.emitted);
        self.to_tell.extend(emitted.iter().flat_map(|event| event.to.iter().cloned()));
        Progress {
            emitted,
            begun_at: Some(self.begun_at),
            facts: std::mem::take(&mut self.unwritten),
            sent: std::mem::take(&mut self.leaving),
            // In its parent's hand, so nobody else is to take it up.
            parked: self.child.as_ref().map(|_| Parked { until: None, heard: self.heard }),
            reply,
            ..Progress::none(version)
        }
    }

    /// Keeps the event of a run that was carried so far in memory only. When it was promised, this goes on while the store
    /// is away.
    async fn admit(&mut self, progress: Progress) -> Result<(), Lost> {
        let mut pause = Pause::default();
        loop {
            match self.try_to_admit(progress.clone()).await {
                Err(Lost::Refused(StoreError::Unavailable(why))) if self.owed.is_some() => {
                    self.caller = None;
                    let run = &self.accepted.run;
                    self.heartbeat.wait(pause.wait_for_store(self.engine, run, &why)).await;
                }
                // Its caller has had it kept meanwhile, and was promised that it goes on.
                Err(Lost::Refused(StoreError::Unavailable(_))) if self.accepted.is_kept() => {
                    return self.record(progress).await.map(drop);
                }
                settled => return settled,
            }
        }
    }

    async fn try_to_admit(&mut self, progress: Progress) -> Result<(), Lost> {
        let (sender, answer) = oneshot::channel();
        let new_run = self.accepted.new_run(progress);
        self.accepted.hold(self.queue.take_in_hand(self.engine, &self.accepted.run));
        let queue = Arc::clone(self.queue);
        let settled = Box::new(move |outcome| {
            if let Ok(Admitted::Kept { turn, .. }) = outcome {
                queue.kept_in_hand(turn);
            }
            drop(sender.send(outcome));
        });
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
    async fn record(&mut self, progress: Progress) -> Result<Recorded, Lost> {
        let (flow, run, caller) = (&self.flow, &self.accepted.run, &mut self.caller);
        let written = self.engine.record(flow, run, &progress, || *caller = None);
        self.heartbeat.wait(written).await.map_err(Lost::Refused)
    }

    /// Leaves the run to the store until its moment. Its caller goes on waiting.
    pub(super) async fn park(mut self, parked: Parked) {
        let progress = Progress { parked: Some(parked), ..self.progress(None) };
        match self.record(progress).await {
            Ok(_) => {
                fault_point("engine.parked");
                if let Some(caller) = self.caller.take() {
                    self.queue.keep_caller(&self.accepted.run, caller);
                }
                self.engine.due_changed.tell();
            }
            Err(lost) => self.lose(&lost),
        }
    }

    /// Writes the end, then tells the caller.
    pub(super) async fn conclude(mut self, end: Arc<End>) -> Option<Arc<End>> {
        self.count(&end);
        let now = self.now();
        if let Some(relaxed) = self.queue.relaxed_if_any() {
            relaxed.ended((&self.accepted.event, &self.accepted.run), &end, self.reply.as_ref(), now);
        }
        if self.ends_in_memory(&end, now) {
            tell(&mut self.caller, conclusion(self.reply.take(), &end));
            return None;
        }
        let reply = self.reply.clone().filter(|_| !self.reply_is_written);
        let mut progress = self.progress(reply);
        progress.ended = Some(Ended { end: Arc::clone(&end), at: now });
        if !self.accepted.is_kept() && self.owed.is_some() {
            match self.admit(progress).await {
                Ok(()) => self.tell_lanes(),
                Err(lost) => self.lose(&lost),
            }
            return None;
        }
        if !self.accepted.is_kept() {
            self.admit_ended(progress, end, now);
            return None;
        }
        if self.ends_by_itself() {
            self.hand_in(progress, end).await;
            return None;
        }
        match Box::pin(self.record(progress)).await {
            Ok(recorded) => {
                fault_point("engine.answering");
                tell(&mut self.caller, conclusion(self.reply.take(), &end));
                self.tell_lanes();
                self.next_of_its_key(recorded.promoted);
                Some(end)
            }
            Err(lost) => {
                self.lose(&lost);
                None
            }
        }
    }

    /// Whether nothing has to be written of a run that ends: it is a relaxed flow's, ended well, and nothing of it has left
    /// the node. Then it is remembered.
    fn ends_in_memory(&self, end: &End, now: Timestamp) -> bool {
        let Some(relaxed) = &self.accepted.relaxed else { return false };
        let ends = matches!(end, End::Succeeded(_)) && !self.has_told && self.accepted.end_in_memory();
        if ends {
            relaxed.ran(&self.accepted, &self.flow.plan.version, now);
            self.queue.series().not_written.inc();
        }
        ends
    }

    fn next_of_its_key(&self, promoted: Option<UnfinishedRun>) {
        if let Some(row) = promoted {
            self.queue.take_up(self.engine, &row, true);
        }
    }

    /// Keeps event and end in one. Nobody waits for the commit but the caller, whom the store's side tells.
    fn admit_ended(mut self, progress: Progress, end: Arc<End>, now: Timestamp) {
        let new_run = self.accepted.new_run(progress.clone());
        let (engine, accepted) = (self.engine, Arc::clone(&self.accepted));
        let ending = self.ending(progress, end, None);
        let settled = Box::new(move |outcome| match outcome {
            Ok(Admitted::Kept { .. }) => {
                accepted.set_kept();
                ending.told(Ok(Recorded::default()));
            }
            Ok(Admitted::Duplicate(duplicate)) => ending.tell_of_nothing(Conclusion::Duplicate(duplicate)),
            // Its caller has had it kept meanwhile, and was promised that it goes on.
            Err(error) if accepted.give_up() => ending.told(Err(error)),
            Err(error) => {
                let_go(&accepted, &error);
                ending.tell_of_nothing(Conclusion::NotKept);
            }
        });
        engine.store.admit(&engine.owner, now, vec![(new_run, settled)]);
    }
}
