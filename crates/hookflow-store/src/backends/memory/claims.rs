//! Who claims what, until when.

use super::Named;
use super::contents::Row;
use crate::{Claim, Duplicate, NewRun};
use hookflow_flow::{End, Reply};
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// How many claims of ended runs are kept.
pub const CLAIMS_KEPT: usize = 100_000;
/// How many bytes of replies are kept under them.
pub const CLAIMED_BYTES: usize = 64 << 20;

type Key = (Arc<str>, Arc<str>);

#[derive(Default)]
pub(super) struct Claims {
    held: HashMap<Key, Held>,
    windows: BTreeSet<(Timestamp, Key)>,
    /// Of the replies.
    bytes: usize,
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
            self.forget_first();
        }
    }

    /// Forgets the claim whose window is over first.
    fn forget_first(&mut self) {
        let Some((_, key)) = self.windows.pop_first() else { return };
        let held = self.held.remove(&key);
        self.bytes -= held.and_then(|held| held.reply).map_or(0, |reply| reply.body.len());
    }

    /// The run that holds one of the claims.
    pub(super) fn taken(&self, claims: &[Claim], runs: &Named<Row>) -> Option<Duplicate> {
        let held = claims.iter().find_map(|claim| self.held.get(&key(claim)))?;
        let running = || runs.get(&held.run).and_then(|row| row.run.progress.reply.clone());
        let reply = held.reply.clone().or_else(running);
        Some(Duplicate { run: Arc::clone(&held.run), ended: held.ended, reply })
    }

    /// Forgets a run's claims before their time.
    pub(super) fn release(&mut self, run: &NewRun) {
        for claim in &run.claims {
            let key = key(claim);
            if self.held.get(&key).is_some_and(|held| held.run == run.run) {
                self.windows.retain(|(_, other)| *other != key);
                let held = self.held.remove(&key);
                self.bytes -= held.and_then(|held| held.reply).map_or(0, |reply| reply.body.len());
            }
        }
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
                self.bytes += reply.map_or(0, |reply| reply.body.len());
                self.windows.insert((over, key));
            }
        }
        // Beyond the bound, a repeat that comes late enough is a new event.
        while self.windows.len() > CLAIMS_KEPT || self.bytes > CLAIMED_BYTES {
            self.forget_first();
        }
    }
}

fn key(claim: &Claim) -> Key {
    (Arc::clone(&claim.scope), Arc::clone(&claim.key))
}
