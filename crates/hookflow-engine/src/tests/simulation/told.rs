//! What callers were told, and whether the store has the same.

use super::book::Book;
use super::dice::Dice;
use super::store::Life;
use crate::{Admission, Conclusion, Ticket};
use hookflow_flow::{End, Flow, Start, retrace};
use hookflow_runtime::Clock;
use hookflow_store::Store;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What callers were told.
#[derive(Clone, Default)]
pub(super) struct Told(Arc<Mutex<Heard>>);

type Heard = Vec<(Arc<str>, Answer)>;

#[derive(Debug)]
enum Answer {
    /// That it will be run.
    Promised,
    Concluded(Conclusion),
}

impl Told {
    /// Waits as callers do: to the end, not so long, or not at all.
    pub(super) async fn hear(&self, life: &Life, clock: &Clock, mut dice: Dice, admission: Admission) {
        let mut ticket = match admission {
            Admission::Waiting(ticket) => ticket,
            Admission::Queued { run } => return self.tell(life, &run, Answer::Promised),
            other => return life.book(|book| book.line(&format!("told {other:?}"))).unwrap_or_default(),
        };
        match dice.below(4) {
            0 => life.book(|book| book.line(&format!("{} hangs up", ticket.run))).unwrap_or_default(),
            1 => {
                let patience = Duration::from_millis(dice.between(1, 20_000));
                match clock.timeout(patience, ticket.wait()).await {
                    Ok(conclusion) => self.tell(life, &ticket.run, Answer::Concluded(conclusion)),
                    Err(_) => self.persist(life, &mut ticket).await,
                }
            }
            _ => {
                let conclusion = ticket.wait().await;
                self.tell(life, &ticket.run, Answer::Concluded(conclusion));
            }
        }
    }

    async fn persist(&self, life: &Life, ticket: &mut Ticket) {
        if ticket.persist().await {
            self.tell(life, &ticket.run, Answer::Promised);
        }
    }

    fn tell(&self, life: &Life, run: &Arc<str>, answer: Answer) {
        life.book(|book| {
            // Who is let go hears of it in no order.
            if !matches!(answer, Answer::Concluded(Conclusion::Gone)) {
                book.line(&format!("told {run} {answer:?}"));
            }
            self.0.lock().unwrap().push((Arc::clone(run), answer));
        });
    }

    /// What callers were told that the store does not have.
    pub(super) async fn check(&self, store: &Arc<dyn Store>, book: &Book) -> Vec<String> {
        let mut wrong = Vec::new();
        let heard = std::mem::take(&mut *self.0.lock().unwrap());
        for (run, answer) in &heard {
            let progress = store.load(run).await.ok().map(|journal| journal.run.progress);
            let ended =
                progress.as_ref().and_then(|progress| progress.ended.as_ref()).map(|ended| &*ended.end);
            let reply = progress.as_ref().and_then(|progress| progress.reply.as_ref());
            let holds = match answer {
                Answer::Promised => ended.is_some(),
                Answer::Concluded(Conclusion::Reply(told)) => reply == Some(told),
                Answer::Concluded(Conclusion::Completed) => matches!(ended, Some(End::Succeeded(_))),
                Answer::Concluded(Conclusion::Failed(fault)) => {
                    matches!(ended, Some(End::Failed(other)) if other.code == fault.code)
                }
                Answer::Concluded(Conclusion::NotKept) => !book.runs.contains_key(run),
                // Of another run, whose ID the ticket has not, or of nothing.
                Answer::Concluded(Conclusion::Duplicate(_) | Conclusion::Gone) => true,
            };
            if !holds {
                wrong.push(format!("{run} was told {answer:?}; the store has {ended:?}, reply {reply:?}"));
            }
        }
        wrong
    }
}

/// Every run's facts, run through its plan once more, end as the run did.
pub(super) async fn check_replays(store: &Arc<dyn Store>, book: &Book, flows: &[Arc<Flow>]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (run, kept) in &book.runs {
        let Ok(journal) = store.load(run).await else {
            wrong.push(format!("{run} was kept and is gone"));
            continue;
        };
        let run = journal.run;
        let (progress, flow) = (run.progress, flows.iter().find(|flow| flow.id == kept.flow).unwrap());
        let Some(end) = progress.ended.map(|ended| ended.end) else {
            wrong.push(format!("{} has no end", run.run));
            continue;
        };
        // These ends come from outside of the run.
        let from_outside =
            matches!(&*end, End::Failed(fault) if ["run.poison", "run.cancelled"].contains(&&*fault.code));
        // Only its parent knows a child's deadline.
        let is_child = flow.webhook.is_none();
        let Some(begun_at) = progress.begun_at.filter(|_| !from_outside && !is_child) else { continue };
        let start = Start {
            run: Arc::clone(&run.run),
            started_at: begun_at,
            seed: run.seed,
            event: run.event,
            attempt: run.attempt,
            deadline: None,
        };
        let retraced = retrace(Arc::clone(&flow.plan), start, &progress.facts);
        if retraced.end.as_ref() != Some(&*end) || retraced.unasked > 0 {
            wrong.push(format!("{} ended as {end:?}; its facts end as {:?}", run.run, retraced.end));
        }
    }
    wrong
}
