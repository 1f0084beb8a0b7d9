//! A fact at rest: its row, and a blob for all of it when it is large. The row has its outline then, which lists are made of.

use super::failure::Failure;
use super::rows::{moment, text, uint, value};
use hookflow_flow::{Attempt, Fact};
use hookflow_trigger::{Blob, BlobFault, Blobs, Body, Gathering, SPOOL_ABOVE};
use rusqlite::Row;
use serde::Deserialize;
use std::sync::Arc;

/// A fact, and what is remembered of a call beside it: it is not read with the journal.
pub(super) struct FactRow {
    pub(super) fact: String,
    pub(super) tried: Option<i64>,
    pub(super) failed: Option<bool>,
    pub(super) integration: Option<Arc<str>>,
    pub(super) attempt: Option<String>,
    /// All of it, when the row has its outline.
    pub(super) blob: Option<Blob>,
}

/// What such a blob holds.
#[derive(Deserialize)]
struct Whole {
    fact: Fact,
    attempt: Option<Attempt>,
}

/// Whether making the rows of these facts may take a while, or wait for the disk.
pub(super) fn are_large(facts: &[Arc<Fact>]) -> bool {
    facts.iter().any(|fact| fact.weight() > SPOOL_ABOVE)
}

impl FactRow {
    /// Writes the blob of one that is large, so that it is on the disk before a commit names it.
    pub(super) fn of(fact: &Fact, blobs: &Arc<dyn Blobs>) -> Result<Self, BlobFault> {
        let attempt = fact.tried.as_deref();
        let mut row = Self {
            fact: text(fact),
            tried: attempt.map(|attempt| moment(attempt.began_at)),
            failed: attempt.map(|attempt| !attempt.ok),
            integration: attempt.and_then(|attempt| attempt.integration.clone()),
            attempt: attempt.map(text),
            blob: None,
        };
        let is_long = row.fact.len() > SPOOL_ABOVE;
        if is_long || attempt.is_some_and(Attempt::is_large) {
            row.blob = match row.spool(blobs) {
                // Room comes with the ends of runs, which must not wait for it: the row takes the fact then.
                Err(BlobFault::Full { .. }) => None,
                spooled => spooled?,
            };
            row.attempt = attempt.map(|attempt| text(&attempt.outline()));
        }
        if is_long && row.blob.is_some() {
            row.fact = text(&Fact { outcome: fact.outcome.outline(), tried: None, ..fact.clone() });
        }
        Ok(row)
    }

    fn spool(&self, blobs: &Arc<dyn Blobs>) -> Result<Option<Blob>, BlobFault> {
        let attempt = self.attempt.as_deref().unwrap_or("null");
        let whole = format!("{{\"fact\":{},\"attempt\":{attempt}}}", self.fact);
        let mut gathering = Gathering::new(Some(Arc::clone(blobs)));
        gathering.add(whole.into())?;
        let body = gathering.finish()?;
        body.spooled().map(Blob::sync).transpose()?;
        Ok(body.spooled().cloned())
    }
}

/// A fact of the columns `fact, blob, bytes`, of which this is the first: what stands there, or all of what lies in its blob.
pub(super) fn fact_of(row: &Row<'_>, first: usize, blobs: &Arc<dyn Blobs>) -> Result<Fact, Failure> {
    let Some(id) = row.get::<_, Option<Arc<str>>>(first + 1)? else {
        return value(&row.get::<_, String>(first)?);
    };
    let bytes: Option<i64> = row.get(first + 2)?;
    let bytes = bytes.map(uint).ok_or_else(|| Failure::damaged("the blob of a fact"))?;
    let whole = Body::Spooled(Blob::kept(blobs, id, bytes)).whole().map_err(|fault| match fault {
        BlobFault::Gone(why) => Failure::damaged(&why),
        fault => Failure::File { why: fault.to_string(), keep: true },
    })?;
    let whole = std::str::from_utf8(&whole).map_err(|error| Failure::damaged(&error.to_string()))?;
    let Whole { fact, attempt } = value(whole)?;
    Ok(match attempt {
        Some(attempt) => fact.tried(attempt),
        None => fact,
    })
}
