//! How a run begins or goes on: from its journal, with what had left before and what has come since.

use super::{Hand, Lost};
use crate::perform::{Calls, is_asked_by};
use hookflow_flow::{Ask, Effect, End, Fact, Fault, FaultKind, Outcome, Run, Start};
use hookflow_runtime::is_planted;
use hookflow_store::{Inbound, Journal, Sent, StoreError};
use hookflow_text::Code;
use jiff::Timestamp;
use std::sync::Arc;

/// What is said of a call that is not known again on the other side.
const LEFT: &str = "the call had left, and it must not be sent twice";

impl Hand<'_> {
    /// The run as it begins, or as its journal has left it, and what it wants done first.
    pub(super) fn begin(&mut self, journal: Option<Journal>) -> Result<(Run, Vec<Effect>), End> {
        let begun_at = journal.as_ref().and_then(|journal| journal.run.progress.begun_at);
        self.begun_at = begun_at.unwrap_or(self.begun_at);
        let start = Start {
            run: Arc::clone(&self.accepted.run),
            started_at: self.begun_at,
            seed: if is_planted("forget-seeds") { self.engine.chance.bytes() } else { self.accepted.seed },
            event: Arc::clone(&self.accepted.event),
            attempt: self.accepted.attempt,
            deadline: self.child.as_ref().and_then(|child| child.deadline),
        };
        let plan = Arc::clone(&self.flow.plan);
        let Some(journal) = journal else { return Ok(Run::begin_in_slices(plan, start)) };
        let was_in_hand = self.engine.trials.was_in_hand(&journal.run.run, &journal.run.progress);
        // That a run began is written with what it has done first.
        let admitted_at = journal.run.started_at;
        let progress = journal.run.progress;
        // A run is parked when nothing of it is under way, and nothing leaves until its moment: its backoff or its turn.
        let rested_until = progress.parked.and_then(|parked| parked.until).unwrap_or(admitted_at);
        let asked_at = |ask: &Ask| match begun_at {
            Some(_) => ask.not_before.unwrap_or(ask.at).max(admitted_at).max(rested_until),
            None => admitted_at,
        };
        self.reply_is_written = progress.reply.is_some();
        self.reply = progress.reply;
        self.left = progress.sent;
        self.heard = journal.inbox.len();
        for inbound in journal.inbox {
            match inbound {
                Inbound::Cancel { .. } if begun_at.is_none() => return Err(End::Failed(cancelled())),
                Inbound::Cancel { .. } => self.cancelled = true,
                Inbound::Fact(fact) => self.early.push(fact),
            }
        }
        let facts: Vec<_> = progress.facts.iter().map(|fact| Fact::clone(fact)).collect();
        let (run, mut effects) = Run::replay(plan, start, &facts)
            .map_err(|diverged| End::Failed(set_aside(&diverged.to_string())))?;
        if begun_at.is_some() && progress.parked.is_some() {
            // All that it had emitted was kept before it was parked, and may be forgotten by now. A run that was not parked has
            // perhaps emitted nothing yet: one that an operator has begun again.
            effects.retain(|effect| !matches!(effect, Effect::Emit(_)));
        }
        // A mark is written before a try waits for its moment, so one that comes in this life only has not left.
        let since = self.engine.trials.since;
        let is_due_now = |sent: &Sent| {
            let mut asks = effects.iter().filter_map(Effect::ask);
            asks.any(|ask| is_of(sent, ask) && asked_at(ask) > since)
        };
        self.left.retain(|sent| !is_due_now(sent));
        if was_in_hand {
            let lost = effects.iter().filter_map(|effect| self.lost(effect, asked_at));
            self.early.append(&mut lost.collect());
        }
        Ok((run, effects))
    }

    /// A try that may have left in a former life, and of which nothing was heard. The other side knows it again, so it
    /// may be made again; but it counts, or a node that dies again and again would send it without an end.
    fn lost(&self, effect: &Effect, asked_at: impl Fn(&Ask) -> Timestamp) -> Option<Arc<Fact>> {
        let Effect::Call(ask, call) = effect else { return None };
        let lost = call.transactional && asked_at(ask) < self.engine.trials.since;
        lost.then(|| {
            let fact = ask.clone().fact(self.now(), interrupted("the call may have left"));
            Arc::new(self.engine.untold(&self.accepted, ask, call, fact))
        })
    }

    /// What came of an ask before it was asked for: a callback that was early, or a try that had left when the node
    /// died and must not leave again.
    pub(super) fn known_outcome(&mut self, effect: &Effect) -> Option<Fact> {
        let ask = effect.ask()?;
        if let Some(early) = self.early.iter().position(|fact| is_asked_by(fact, ask)) {
            return Some(Fact::clone(&self.early.swap_remove(early)));
        }
        self.left.iter().any(|sent| is_of(sent, ask)).then(|| {
            let fact = ask.clone().fact(self.now(), interrupted(LEFT));
            match effect {
                Effect::Call(_, call) => self.engine.untold(&self.accepted, ask, call, fact),
                _ => fact,
            }
        })
    }

    /// Takes what is new in the inbox.
    pub(super) async fn look_into_inbox(&mut self, calls: &mut Calls<'_>) -> Result<(), Lost> {
        let journal = match self.heartbeat.wait(self.engine.store.load(&self.accepted.run)).await {
            Ok(journal) => journal,
            // What came stays in the inbox, and who is roused next looks again.
            Err(StoreError::Unavailable(_)) => return Ok(()),
            Err(error) => return Err(Lost::Refused(error)),
        };
        for inbound in journal.inbox.into_iter().skip(self.heard) {
            self.heard += 1;
            match inbound {
                Inbound::Cancel { .. } => self.cancelled = true,
                Inbound::Fact(fact) => {
                    if !calls.came(&fact) {
                        self.early.push(fact);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether the mark is of this try.
fn is_of(sent: &Sent, ask: &Ask) -> bool {
    sent.place == ask.place && sent.attempt == ask.attempt
}

/// The mark of a try that must not leave twice: one that is not known to be harmless when it is repeated.
pub(super) fn leaves_once(effect: &Effect) -> Option<Sent> {
    match effect {
        Effect::Call(ask, call) if !call.is_repeatable() && !is_planted("forget-what-left") => {
            Some(Sent { place: ask.place.clone(), attempt: ask.attempt })
        }
        _ => None,
    }
}

fn set_aside(why: &str) -> Fault {
    Fault::new(FaultKind::Interrupted, Code("run.diverged"), why)
}

fn cancelled() -> Fault {
    Fault::new(FaultKind::Cancelled, Code("run.cancelled"), "the run was cancelled")
}

fn interrupted(when: &str) -> Outcome {
    Outcome::Failed { kind: FaultKind::Interrupted, message: format!("the service went down when {when}") }
}
