//! Runs that nobody has written to since they were admitted: what the file says of them is known, so their ends are
//! written without reading.

use super::{Ledger, Quick};
use crate::backends::sqlite::failure::Failure;
use crate::backends::sqlite::rows::{ProgressRows, RunRow};
use crate::{Claim, Owner, Recorded, StoreError};
use hookflow_runtime::fault_point;
use std::sync::Arc;

/// How many are known. Of those beyond, the file is asked.
const KNOWN: usize = 10_000;

/// By their IDs.
pub(super) type FreshRuns = Quick<Arc<str>, FreshRun>;

pub(super) struct FreshRun {
    seq: i64,
    flow: i64,
    version: i64,
    node: i64,
    claims: Vec<Claim>,
}

impl Ledger {
    /// A run was admitted. What has happened of it already, and what has to do with others of its lane, the file knows.
    pub(super) fn know_fresh(&mut self, run: &RunRow, (seq, flow, version, node): (i64, i64, i64, i64)) {
        let ProgressRows { facts, sent, reply, parking, begun_at, .. } = &run.progress;
        let is_fresh = facts.is_empty() && sent.is_empty() && reply.is_none() && !parking.parked;
        if is_fresh && begun_at.is_none() && run.lane.is_none() && self.fresh.len() < KNOWN {
            let claims = run.claims.clone();
            self.fresh.insert(Arc::clone(&run.run), FreshRun { seq, flow, version, node, claims });
        }
    }

    /// Somebody writes to a run, so the file has to be asked from now on.
    pub(super) fn touch(&mut self, run: &str) {
        self.fresh.remove(run);
    }

    /// Ends a run that is fresh, when nothing else has happened of it. `None`: the file has to be asked.
    pub(super) fn end_fresh(
        &mut self,
        owner: &Owner,
        run: &Arc<str>,
        progress: &ProgressRows,
    ) -> Result<Option<Recorded>, Failure> {
        // All of it is named, so that what is added to it is not forgotten here. Who ends is not parked.
        let ProgressRows { version, begun_at, facts, sent, emitted, reply, parking: _, ended } = progress;
        let Some(end) = ended.as_ref().filter(|_| facts.is_empty() && sent.is_empty()) else {
            return Ok(None);
        };
        let Some(fresh) = self.fresh.remove(run) else { return Ok(None) };
        if self.living(owner)? != fresh.node {
            return Err(StoreError::Stale.into());
        }
        let version = self.version(fresh.flow, version)?.ok_or(StoreError::UnknownVersion)?;
        self.repin(fresh.seq, fresh.version, version)?;
        self.insert_emitted(fresh.node, run, emitted)?;
        fault_point("store.recording");
        if let Some(reply) = reply {
            self.insert_reply(fresh.seq, reply)?;
        }
        self.end_open((fresh.seq, fresh.seq), end, *begun_at)?;
        let status = reply.as_ref().map(|row| row.reply.status.as_u16());
        self.end_claims(fresh.seq, &fresh.claims, end, status)?;
        Ok(Some(Recorded::default()))
    }
}
