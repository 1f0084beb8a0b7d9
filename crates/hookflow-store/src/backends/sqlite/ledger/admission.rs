//! Admission: an event, its claims, and what has already happened of its run.

use super::Ledger;
use super::recording::EventRow;
use crate::backends::sqlite::failure::Failure;
use crate::backends::sqlite::rows::{RunRow, claims_text, moment};
use crate::{Admitted, FACTS_PER_RUN, Owner, StoreError};
use hookflow_runtime::fault_point;
use jiff::Timestamp;
use rusqlite::params;

impl Ledger {
    pub(in super::super) fn admit(
        &mut self,
        owner: &Owner,
        now: Timestamp,
        run: &RunRow,
    ) -> Result<Admitted, Failure> {
        // Its own claims would stand in its way. A run without any is looked for by being written.
        if !run.claims.is_empty()
            && let Some(event) = self.event(&run.run)?
        {
            return self.admit_again(owner, run, &event);
        }
        let node = self.living(owner)?;
        if run.progress.facts.len() > FACTS_PER_RUN {
            return Err(StoreError::JournalFull.into());
        }
        self.now = self.now.max(moment(now));
        if let Some(duplicate) = self.taken(&run.claims, moment(now))? {
            return Ok(Admitted::Duplicate(duplicate));
        }
        self.has_blobs(run)?;
        let flow = self.flow(&run.flow)?.ok_or(StoreError::UnknownVersion)?;
        let version = self.version(flow, &run.progress.version)?.ok_or(StoreError::UnknownVersion)?;
        let seq = self.next();
        if !self.insert_event(run, (seq, flow, version, node))? {
            let event = self.event(&run.run)?.ok_or_else(|| Failure::damaged("a run's ID"))?;
            return self.admit_again(owner, run, &event);
        }
        fault_point("store.admitting");
        self.insert_blobs(seq, &run.blobs)?;
        self.take(seq, run)?;
        self.insert_journal(seq, 0, &run.progress)?;
        self.insert_emitted(node, &run.run, &run.progress.emitted)?;
        if let Some(reply) = &run.progress.reply {
            self.insert_reply(seq, reply)?;
        }
        if let Some(end) = &run.progress.ended {
            self.insert_end(seq, end, run.progress.begun_at)?;
            return Ok(kept(seq, false));
        }
        let behind = match &run.lane {
            Some(lane) => self
                .one("SELECT 1 FROM open WHERE flow = ?1 AND lane = ?2 LIMIT 1", (flow, &**lane), |_| Ok(()))?
                .is_some(),
            None => false,
        };
        let parking = run.progress.parking;
        self.run(
            "INSERT INTO open (turn, seq, node, flow, run, bytes, lane, behind, parked, until, heard, begun_at)
            VALUES (?1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                seq,
                node,
                flow,
                &*run.run,
                run.bytes,
                run.lane.as_deref(),
                behind,
                parking.parked,
                parking.until,
                parking.heard,
                run.progress.begun_at,
            ],
        )?;
        self.know_fresh(run, (seq, flow, version, node));
        Ok(kept(seq, behind))
    }

    /// Judged and recorded as anything else that happens in a run.
    fn admit_again(&mut self, owner: &Owner, run: &RunRow, event: &EventRow) -> Result<Admitted, Failure> {
        let open = self.open(event)?;
        self.record(owner, &run.run, &run.progress)?;
        Ok(match open {
            Some(open) => kept(open.turn, open.behind),
            None => kept(event.seq, false),
        })
    }

    /// `false`: it is there already.
    fn insert_event(&self, run: &RunRow, ids: (i64, i64, i64, i64)) -> Result<bool, Failure> {
        let (seq, flow, version, node) = ids;
        let inserted = self.run(
            "INSERT INTO events (seq, run, flow, version, node, attempt, started_at, bytes, seed, replays, lane, claims,
            head, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
            ON CONFLICT (run) DO NOTHING",
            params![
                seq,
                &*run.run,
                flow,
                version,
                node,
                run.attempt,
                run.started_at,
                run.bytes,
                &run.seed[..],
                run.replays.as_deref(),
                run.lane.as_deref(),
                claims_text(&run.claims),
                run.event.head,
                &run.event.body[..],
            ],
        )?;
        Ok(inserted > 0)
    }
}

fn kept(turn: i64, behind: bool) -> Admitted {
    Admitted::Kept { turn: crate::backends::sqlite::rows::uint(turn), behind }
}
