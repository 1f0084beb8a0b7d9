//! What happens in a run, up to its end.

use super::Ledger;
use crate::backends::sqlite::fact_row::FactRow;
use crate::backends::sqlite::failure::Failure;
use crate::backends::sqlite::rows::{EndRow, Parking, ProgressRows, ReplyRow, claims_of, int, uint};
use crate::{FACTS_PER_RUN, Owner, Recorded, StoreError, UnfinishedRun};
use hookflow_runtime::fault_point;
use std::sync::Arc;

/// What an event's row says about its run.
pub(super) struct EventRow {
    pub(super) seq: i64,
    pub(super) flow: i64,
    pub(super) version: i64,
    pub(super) node: i64,
    pub(super) lane: Option<String>,
    pub(super) claims: Option<String>,
}

/// The row of an unfinished run.
#[derive(Clone, Copy)]
pub(super) struct OpenRow {
    pub(super) turn: i64,
    pub(super) behind: bool,
    pub(super) parking: Parking,
    pub(super) begun_at: Option<i64>,
}

impl Ledger {
    pub(in super::super) fn record(
        &mut self,
        owner: &Owner,
        run: &Arc<str>,
        progress: &ProgressRows,
    ) -> Result<Recorded, Failure> {
        if let Some(recorded) = self.end_fresh(owner, run, progress)? {
            return Ok(recorded);
        }
        let (event, open) = self.own(owner, run)?;
        let facts = "SELECT coalesce(max(n), 0) FROM facts WHERE seq = ?1";
        let facts: usize = self.one(facts, (event.seq,), |row| row.get(0))?.unwrap_or_default();
        if facts + progress.facts.len() > FACTS_PER_RUN {
            return Err(StoreError::JournalFull.into());
        }
        let is_pinned = facts > 0;
        if !is_pinned {
            let version = self.version(event.flow, &progress.version)?.ok_or(StoreError::UnknownVersion)?;
            self.repin(event.seq, event.version, version)?;
        }
        self.insert_journal(event.seq, facts, progress)?;
        self.insert_emitted(event.node, run, &progress.emitted)?;
        fault_point("store.recording");
        if let Some(reply) = &progress.reply {
            self.insert_reply(event.seq, reply)?;
        }
        let begun_at = if is_pinned { open.begun_at } else { progress.begun_at.or(open.begun_at) };
        match &progress.ended {
            Some(end) => self.end(&event, open.turn, end, begun_at),
            None => self.go_on(event.seq, open, progress.parking, begun_at),
        }
    }

    /// Only when the flow was replaced since the event came.
    pub(super) fn repin(&self, seq: i64, before: i64, version: i64) -> Result<(), Failure> {
        if version != before {
            self.run("UPDATE events SET version = ?2 WHERE seq = ?1", (seq, version))?;
        }
        Ok(())
    }

    fn go_on(
        &self,
        seq: i64,
        open: OpenRow,
        mut parking: Parking,
        begun_at: Option<i64>,
    ) -> Result<Recorded, Failure> {
        if parking.parked
            && let Some(unheard) = self.unheard(seq, parking.heard)?
        {
            parking.until = Some(parking.until.map_or(unheard, |until| until.min(unheard)));
        }
        if (parking, begun_at) != (open.parking, open.begun_at) {
            let sql = "UPDATE open SET parked = ?2, until = ?3, heard = ?4, begun_at = ?5 WHERE turn = ?1";
            self.run(sql, (open.turn, parking.parked, parking.until, parking.heard, begun_at))?;
        }
        Ok(Recorded::default())
    }

    fn end(
        &mut self,
        event: &EventRow,
        turn: i64,
        end: &EndRow,
        begun_at: Option<i64>,
    ) -> Result<Recorded, Failure> {
        self.run("DELETE FROM inbox WHERE seq = ?1", (event.seq,))?;
        self.end_open((event.seq, turn), end, begun_at)?;
        if let Some(claims) = &event.claims {
            let reply = "SELECT status FROM replies WHERE seq = ?1";
            let status: Option<u16> = self.one(reply, (event.seq,), |row| row.get(0))?;
            self.end_claims(event.seq, &claims_of(Some(claims))?, end, status)?;
        }
        let promoted = match &event.lane {
            Some(lane) => self.promote(event, lane)?,
            None => None,
        };
        Ok(Recorded { promoted })
    }

    /// From the list of what is unfinished to that of what has ended.
    pub(super) fn end_open(
        &self,
        (seq, turn): (i64, i64),
        end: &EndRow,
        begun_at: Option<i64>,
    ) -> Result<(), Failure> {
        self.run("DELETE FROM open WHERE turn = ?1", (turn,))?;
        self.insert_end(seq, end, begun_at)?;
        fault_point("store.ending");
        Ok(())
    }

    /// Gives the next run of a lane its turn, when the one that ended was before all others.
    fn promote(&mut self, ended: &EventRow, lane: &str) -> Result<Option<UnfinishedRun>, Failure> {
        let next = "SELECT o.turn, o.run, f.flow, o.bytes, o.seq > ?3 AND o.behind FROM open o JOIN flows f
            ON f.id = o.flow WHERE o.flow = ?1 AND o.lane = ?2 ORDER BY o.seq LIMIT 1";
        let next = self.one(next, (ended.flow, lane, ended.seq), |row| {
            let run = UnfinishedRun {
                turn: uint(row.get(0)?),
                run: row.get(1)?,
                flow: row.get(2)?,
                bytes: uint(row.get(3)?),
            };
            Ok(row.get::<_, bool>(4)?.then_some(run))
        })?;
        let Some(Some(run)) = next else { return Ok(None) };
        let turn = self.next();
        self.run("UPDATE open SET turn = ?2, behind = 0 WHERE turn = ?1", (int(run.turn), turn))?;
        Ok(Some(UnfinishedRun { turn: uint(turn), ..run }))
    }

    /// An unfinished run of the owner's.
    pub(super) fn own(&mut self, owner: &Owner, run: &Arc<str>) -> Result<(EventRow, OpenRow), Failure> {
        self.touch(run);
        let node = self.living(owner)?;
        let event = self.event(run)?.ok_or(StoreError::UnknownRun)?;
        if event.node != node {
            return Err(StoreError::Stale.into());
        }
        let open = self.open(&event)?.ok_or(StoreError::Ended)?;
        Ok((event, open))
    }

    pub(super) fn event(&self, run: &str) -> Result<Option<EventRow>, Failure> {
        let sql = "SELECT seq, flow, version, node, lane, claims FROM events WHERE run = ?1";
        self.one(sql, (run,), |row| {
            Ok(EventRow {
                seq: row.get(0)?,
                flow: row.get(1)?,
                version: row.get(2)?,
                node: row.get(3)?,
                lane: row.get(4)?,
                claims: row.get(5)?,
            })
        })
    }

    /// The row of a run that has not ended. Only a run with an order key ever has another turn than its position.
    pub(super) fn open(&self, event: &EventRow) -> Result<Option<OpenRow>, Failure> {
        let read = |row: &rusqlite::Row<'_>| {
            Ok(OpenRow {
                turn: row.get(0)?,
                behind: row.get(1)?,
                parking: Parking { parked: row.get(2)?, until: row.get(3)?, heard: row.get(4)? },
                begun_at: row.get(5)?,
            })
        };
        match &event.lane {
            None => self.one(
                "SELECT turn, behind, parked, until, heard, begun_at FROM open WHERE turn = ?1",
                (event.seq,),
                read,
            ),
            Some(lane) => self.one(
                "SELECT turn, behind, parked, until, heard, begun_at FROM open WHERE flow = ?1 AND lane = ?2 AND seq = ?3",
                (event.flow, lane, event.seq),
                read,
            ),
        }
    }

    /// Facts, and tries that are about to leave, behind those that are there.
    pub(super) fn insert_journal(
        &self,
        seq: i64,
        facts: usize,
        progress: &ProgressRows,
    ) -> Result<(), Failure> {
        for (n, fact) in (facts + 1..).zip(&progress.facts) {
            let FactRow { fact, tried, failed, integration, attempt, blob } = fact;
            let id = blob.as_ref().map(|blob| &**blob.id());
            self.run(
                "INSERT INTO facts (seq, n, fact, tried, failed, integration, attempt, blob)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                (seq, n, fact, tried, failed, integration.as_deref(), attempt, id),
            )?;
            self.insert_blobs(seq, blob.as_slice())?;
        }
        for sent in &progress.sent {
            self.run(
                "INSERT INTO sent (seq, n, sent)
                VALUES (?1, (SELECT coalesce(max(n), 0) + 1 FROM sent WHERE seq = ?1), ?2)",
                (seq, sent),
            )?;
        }
        Ok(())
    }

    /// The first reply stands.
    pub(super) fn insert_reply(&self, seq: i64, row: &ReplyRow) -> Result<(), Failure> {
        let sql =
            "INSERT INTO replies (seq, status, headers, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        self.run(sql, (seq, row.reply.status.as_u16(), &row.headers, &row.reply.body[..])).map(drop)
    }

    pub(super) fn insert_end(&self, seq: i64, end: &EndRow, begun_at: Option<i64>) -> Result<(), Failure> {
        let sql = "INSERT INTO ends (seq, at, kind, value, begun_at) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.run(sql, (seq, end.at, end.kind, &end.value, begun_at)).map(drop)
    }
}
