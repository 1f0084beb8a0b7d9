//! What comes to a run from elsewhere.

use super::Ledger;
use crate::backends::sqlite::failure::Failure;
use crate::backends::sqlite::rows::{moment, text, value};
use crate::{INBOX_ENTRIES, Inbound, Owner, Posted, StoreError};
use hookflow_flow::{Fact, Place};
use hookflow_runtime::fault_point;
use std::sync::Arc;

/// Where a cancel lies: no place of a plan is written so.
pub(in super::super) const CANCEL: &str = "";

impl Ledger {
    pub(in super::super) fn post(&mut self, run: &str, inbound: &Inbound) -> Result<Posted, Failure> {
        let event = self.event(run)?.ok_or(StoreError::UnknownRun)?;
        let Some(open) = self.open(&event)? else { return Ok(Posted::Over) };
        self.touch(run);
        let (place, fact, at) = match inbound {
            Inbound::Fact(fact) => (fact.place.to_string(), Some(text(&**fact)), moment(fact.at)),
            Inbound::Cancel { at } => (CANCEL.to_owned(), None, moment(*at)),
        };
        let there = "SELECT fact IS NOT NULL FROM inbox WHERE seq = ?1 AND place = ?2";
        let there: Option<bool> = self.one(there, (event.seq, &place), |row| row.get(0))?;
        match (inbound, there) {
            (Inbound::Fact(_), Some(true)) => return Ok(Posted::Again),
            (Inbound::Fact(_), Some(false)) => return Ok(Posted::Over),
            _ => {}
        }
        let entries = "SELECT count(*) FROM inbox WHERE seq = ?1 AND (fact IS NOT NULL OR place = ?2)";
        let entries: Option<usize> = self.one(entries, (event.seq, CANCEL), |row| row.get(0))?;
        if entries.is_none_or(|entries| entries >= INBOX_ENTRIES) {
            return Err(StoreError::InboxFull.into());
        }
        if there.is_none() {
            self.insert_inbox(event.seq, &place, fact.as_deref(), Some(at))?;
        }
        fault_point("store.posting");
        if open.parking.parked {
            let due = open.parking.until.map_or(at, |until| until.min(at));
            self.run("UPDATE open SET until = ?2 WHERE turn = ?1", (open.turn, due))?;
        }
        let of = "SELECT f.flow, n.node FROM flows f, nodes n WHERE f.id = ?1 AND n.id = ?2";
        let of = self.one(of, (event.flow, event.node), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (flow, node) = of.ok_or_else(|| Failure::damaged("a run's flow or node"))?;
        Ok(Posted::Kept { flow, node, parked: open.parking.parked })
    }

    pub(in super::super) fn close(
        &mut self,
        owner: &Owner,
        run: &Arc<str>,
        place: &Place,
    ) -> Result<Option<Arc<Fact>>, Failure> {
        let (event, _) = self.own(owner, run)?;
        let place = place.to_string();
        let there = "SELECT fact FROM inbox WHERE seq = ?1 AND place = ?2";
        let there: Option<Option<String>> = self.one(there, (event.seq, &place), |row| row.get(0))?;
        match there {
            Some(Some(fact)) => Ok(Some(Arc::new(value(&fact)?))),
            Some(None) => Ok(None),
            None => self.insert_inbox(event.seq, &place, None, None).map(|()| None),
        }
    }

    /// When the first entry came that a run has not heard of.
    pub(super) fn unheard(&self, seq: i64, heard: usize) -> Result<Option<i64>, Failure> {
        let sql = "SELECT at FROM inbox WHERE seq = ?1 AND (fact IS NOT NULL OR place = ?2) ORDER BY n LIMIT 1 OFFSET ?3";
        self.one(sql, (seq, CANCEL, heard), |row| row.get(0))
    }

    /// Without a fact the place is closed, or it is a cancel.
    fn insert_inbox(
        &self,
        seq: i64,
        place: &str,
        fact: Option<&str>,
        at: Option<i64>,
    ) -> Result<(), Failure> {
        self.run(
            "INSERT INTO inbox (seq, place, n, fact, at)
            VALUES (?1, ?2, (SELECT coalesce(max(n), 0) + 1 FROM inbox WHERE seq = ?1), ?3, ?4)",
            (seq, place, fact, at),
        )
        .map(drop)
    }
}
