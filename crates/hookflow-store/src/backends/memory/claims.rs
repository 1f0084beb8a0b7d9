//! Who claims what, until when.

use super::Row;
use crate::{Claim, Duplicate, NewRun};
use hookflow_flow::{End, Reply};
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

type Key = (Arc<str>, Arc<str>);

#[derive(Default)]
pub(super) struct Claims {
    held: HashMap<Key, Held>,
    windows: BTreeSet<(Timestamp, Key)>,
}

struct Held {
    run: Arc<str>,
    /// The run itself may be forgotten before the window is over.
    ended: bool,
    /// What it replied, known here once it has ended.
    reply: Option<Arc<Reply>>,
}

impl Claims {
    /// Forgets the claims whose windows are over.
    pub(super) fn forget_until(&mut self, now: Timestamp) {
        while self.windows.first().is_some_and(|(over, _)| *over <= now) {
            if let Some((_, key)) = self.windows.pop_first() {
                self.held.remove(&key);
            }
        }
    }

    /// The run that holds one of the claims.
    pub(super) fn taken(&self, claims: &[Claim], runs: &HashMap<Arc<str>, Row>) -> Option<Duplicate> {
        let held = claims.iter().find_map(|claim| self.held.get(&key(claim)))?;
        let running = || runs.get(&held.run).and_then(|row| row.run.progress.reply.clone());
        let reply = held.reply.clone().or_else(running);
        Some(Duplicate { run: Arc::clone(&held.run), ended: held.ended, reply })
    }

    pub(super) fn take(&mut self, run: &NewRun) {
        for claim in &run.claims {
            self.held.insert(key(claim), Held { run: Arc::clone(&run.run), ended: false, reply: None });
        }
    }

    /// Keeps a run's claims for their windows, or releases them, as it ended.
    pub(super) fn end(&mut self, run: &NewRun) {
        let Some(ended) = &run.progress.ended else { return };
        let reply = run.progress.reply.as_ref();
        let repeatable =
            reply.is_some_and(|reply| reply.status.is_server_error() || reply.status.as_u16() == 429);
        let keep = matches!(*ended.end, End::Succeeded(_)) && !repeatable;
        for claim in &run.claims {
            let key = key(claim);
            if !keep {
                self.held.remove(&key);
            } else if let Some(held) = self.held.get_mut(&key) {
                held.ended = true;
                held.reply = reply.cloned();
                let over = ended.at.checked_add(claim.window).unwrap_or(Timestamp::MAX);
                self.windows.insert((over, key));
            }
        }
    }
}

fn key(claim: &Claim) -> Key {
    (Arc::clone(&claim.scope), Arc::clone(&claim.key))
}
